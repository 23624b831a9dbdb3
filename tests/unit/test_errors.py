"""What programs match on: a code and an exit status for each kind of failure, as the contracts have them."""

import pytest

from immutag.core import errors
from immutag.core.errors import KINDS, ImmutagError, RegistryError

CONTRACT = {
    "MISSING_SHA": 10,
    "BUILD_FAILURE": 11,
    "PUSH_FAILURE": 12,
    "MISSING_TAG": 13,
    "POLICY_VIOLATION": 14,
    "DIGEST_MISMATCH": 15,
    "SOFT_VERIFY_TOOL_ERROR": 16,
    "REGISTRY_AUTH": 17,
    "REGISTRY_UNAVAILABLE": 18,
    "DEPLOY_FAILURE": 19,
    "LEDGER_CONFLICT": 20,
    "LEDGER_CORRUPT": 21,
    "CONFIG_INVALID": 22,
}
TAKEN = {0, 1, 2, 30, 31, 130, 143}
"""Exit statuses that mean something else, in the contracts or to a shell."""


def test_codes_and_exit_statuses_are_the_contracts() -> None:
    assert len(KINDS) == len(CONTRACT)
    assert {kind.code: kind.exit_status for kind in KINDS} == CONTRACT


def test_no_two_failures_share_an_exit_status() -> None:
    statuses = [kind.exit_status for kind in KINDS]
    assert len(set(statuses)) == len(statuses)
    assert not TAKEN & set(statuses)


def test_no_kind_is_left_out() -> None:
    raised = {
        kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, ImmutagError)
    }
    assert raised - {ImmutagError, RegistryError} == set(KINDS)


@pytest.mark.parametrize("kind", KINDS)
def test_an_error_as_programs_read_it(kind: type[ImmutagError]) -> None:
    error = kind("what", expected="this", found="that", remedy="do it")
    assert error.as_json() == {
        "code": kind.code, "message": "what", "expected": "this", "found": "that", "next": "do it",
    }  # fmt: skip
    assert str(error) == "what"


@pytest.mark.parametrize("kind", KINDS)
def test_a_code_is_its_classs_name(kind: type[ImmutagError]) -> None:
    assert kind.code.replace("_", "").lower() == kind.__name__.lower()
    assert kind.meaning
