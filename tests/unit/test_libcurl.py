"""libcurl comes without the part of its package that nothing here uses, and leaves it to whoever wants it."""

import subprocess
import sys

_ALONE = "import sys; from immutag.oci.libcurl import pycurl; pycurl.Curl(); "


def printed(program: str) -> str:
    return subprocess.run([sys.executable, "-c", program], capture_output=True, check=True, text=True).stdout


def test_the_client_loads_no_asyncio_helper() -> None:
    assert (
        printed(_ALONE + "print('dataclasses' in sys.modules, 'inspect' in sys.modules)") == "False False\n"
    )


def test_the_whole_package_can_be_imported_after_it() -> None:
    then = "import pycurl as whole; print(whole.AsyncCurlMulti.__name__, whole.Curl is pycurl.Curl)"
    assert printed(_ALONE + then) == "AsyncCurlMulti True\n"


def test_a_package_that_is_loaded_already_is_used() -> None:
    program = "import pycurl as whole; from immutag.oci.libcurl import pycurl; print(pycurl is whole)"
    assert printed(program) == "True\n"
