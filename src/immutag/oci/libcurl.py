"""libcurl, by pycurl's extension module alone (DR-012).

Since 7.47 the package also loads its helper for asyncio, and with it `dataclasses` and `inspect`: more than
half of the time that its import takes, for something that nothing here uses.
"""

import sys
from importlib.machinery import PathFinder
from types import ModuleType
from typing import TYPE_CHECKING

__all__ = ["pycurl"]


def _extension() -> ModuleType:
    """The extension without the package around it; all of it where it has no such part."""
    found = PathFinder.find_spec("pycurl")
    if "pycurl" not in sys.modules and found is not None and found.submodule_search_locations:
        package = ModuleType("pycurl")
        package.__path__ = list(found.submodule_search_locations)
        sys.modules["pycurl"] = package
        try:
            import pycurl._pycurl
        except ImportError:
            pass
        else:
            return pycurl._pycurl
        finally:
            del sys.modules["pycurl"]  # whoever imports it elsewhere gets all of it
    import pycurl

    return pycurl


if TYPE_CHECKING:
    import pycurl
else:
    pycurl = _extension()
