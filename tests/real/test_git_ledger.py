"""The ledger on a branch of a real git server: over HTTP, by many jobs, and against those who rewrite it."""

import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from immutag.core.errors import ConfigInvalid, LedgerConflict, LedgerCorrupt
from immutag.core.facts import Stream
from immutag.git.remote_branch import RemoteBranch
from immutag.ledger import Ledger
from immutag.ledger.export import export
from immutag.ledger.git import GitLedger
from immutag.ledger.git_files import appended, path_of
from immutag.ledger.head import head_of
from immutag.ledger.sqlite import SqliteLedger
from tests.parts.appending import held
from tests.parts.facts import chained
from tests.parts.git_appending import open_ledger
from tests.parts.git_http import PASSWORD, USERNAME, GitServer

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
STREAM = Stream("release:a")
BRANCH = "immutag-ledger"
WRITERS, EACH = 8, 8
Job = Callable[[], GitLedger]


@pytest.fixture
def job(git_http: GitServer, tmp_path: Path) -> Job:
    """Opens the ledger on a machine that has never seen it."""
    count = iter(range(100))
    return lambda: open_ledger(tmp_path / f"job{next(count)}", git_http.address(), patience_s=20)


def fill(ledger: Ledger, *reasons: str) -> None:
    begun = len(ledger.stream(STREAM))
    for version, reason in enumerate(reasons, begun):
        ledger.append(STREAM, held(reason), after=version)


def test_what_one_job_appends_the_next_one_reads(job: Job, git_http: GitServer) -> None:
    first, second = job(), job()
    fill(first, "a", "b")
    fill(second, "c")
    assert head_of(first) == head_of(second) == head_of(job())
    assert first.shared
    assert first.verify().size == 3


def test_the_branch_is_readable_by_people_and_by_export(job: Job, git_http: GitServer) -> None:
    ledger = job()
    fill(ledger, "a", "b")
    assert git_http.git("show", f"{BRANCH}:{path_of(1)}").splitlines() == list(export(ledger))
    assert "what happened" in git_http.git("show", f"{BRANCH}:README.md")
    assert git_http.git("ls-tree", "--name-only", BRANCH).split() == ["README.md", "entries"]
    assert git_http.git("log", "--format=%s", BRANCH).splitlines() == [f"held: {STREAM}"] * 2
    trailers = git_http.git("log", "-1", "--format=%(trailers:key=Ledger-Hash,valueonly)", BRANCH).strip()
    assert trailers == ledger.head().hash
    assert git_http.git("rev-list", "--max-parents=0", "--count", BRANCH) == "1"


def test_an_append_is_lost_to_nobody_between_two_jobs(job: Job) -> None:
    one, two = job(), job()
    fill(one, "a")
    two.head()
    fill(one, "b")
    with pytest.raises(LedgerConflict):
        two.append(STREAM, held("x"), after=1)
    assert (
        two.append(Stream("release:other"), held("y"), after=0).sequence == 3
    )  # not what it had seen, still its own
    assert one.head() == two.head()


def test_a_push_that_was_taken_but_never_answered_is_found(job: Job, git_http: GitServer) -> None:
    ledger = job()
    fill(ledger, "a")
    git_http.drop_answers = True
    assert ledger.append(STREAM, held("b"), after=1).sequence == 2
    git_http.drop_answers = False
    assert job().verify().size == 2


def test_a_job_that_was_killed_before_its_push_left_nothing(job: Job, git_http: GitServer) -> None:
    ledger = job()
    fill(ledger, "a")
    branch: RemoteBranch = ledger._branch
    branch.commit({path_of(1): b"half"}, "never pushed\n", parent=branch.kept(), seconds=0)
    assert ledger.verify().size == 1
    fill(ledger, "b")
    assert job().verify().size == 2


# --- a history that was rewritten


def rewind(git_http: GitServer, to: str) -> None:
    git_http.git("update-ref", f"refs/heads/{BRANCH}", to)


def test_a_lock_that_a_git_left_is_nobodys_to_clear(job: Job, tmp_path: Path) -> None:
    """As after a power cut in the middle of a fetch."""
    one, other = job(), job()
    fill(one, "a")
    assert other.head().size == 1
    (seen,) = tmp_path.glob("job1/**/refs/immutag/seen")
    lock = seen.with_suffix(".lock")
    lock.touch()
    os.utime(lock, (0, 0))
    fill(one, "b")
    assert other.head().size == 2
    assert not lock.exists()


def test_a_branch_that_was_cut_or_replaced_is_corrupt_for_who_saw_it(job: Job, git_http: GitServer) -> None:
    ledger = job()
    fill(ledger, "a", "b")
    before = git_http.git("rev-parse", f"{BRANCH}~1")
    fill(ledger, "c")
    head = head_of(ledger)
    rewind(git_http, before)
    for act in (ledger.head, ledger.verify, lambda: fill(ledger, "x")):
        with pytest.raises(LedgerCorrupt, match="was rewritten"):
            act()
    fill(job(), "another c")  # who never saw it cannot know
    with pytest.raises(LedgerCorrupt, match="was rewritten"):
        ledger.head()
    git_http.git("update-ref", "-d", f"refs/heads/{BRANCH}")
    with pytest.raises(LedgerCorrupt) as stopped:
        ledger.head()
    assert stopped.value.found == "the branch is gone"
    from immutag.core.known_head import KnownHead
    from immutag.ledger import against

    with pytest.raises(LedgerCorrupt):  # but who has a checkpoint does
        against.verify(job(), [KnownHead(head.size, None, head.root, "a checkpoint")])


def committed_on_top(git_http: GitServer, tmp_path: Path, change: Callable[[str], str]) -> None:
    """Somebody edits the newest file in the web view, as a commit like any other."""
    clone = tmp_path / "web"
    subprocess.run(
        ["git", "clone", "--quiet", "--branch", BRANCH, git_http.root / "ledger.git", clone], check=True
    )
    file = clone / path_of(1)
    file.write_text(change(file.read_text()))
    who = ["-c", "user.name=somebody", "-c", "user.email=somebody@example.com"]
    subprocess.run(["git", "-C", clone, *who, "commit", "--quiet", "--all", "--message", "tidy"], check=True)
    subprocess.run(["git", "-C", clone, "push", "--quiet", "origin", BRANCH], check=True)


EDITS: dict[str, Callable[[str], str]] = {
    "a word": lambda text: text.replace("first", "other"),
    "a line less": lambda text: "".join(text.splitlines(keepends=True)[:-1]),
    "the first line gone": lambda text: "".join(text.splitlines(keepends=True)[1:]),
    "lines swapped": lambda text: "".join(reversed(text.splitlines(keepends=True))),
    "spaces": lambda text: text.replace('","', '", "'),
    "no last newline": lambda text: text[:-1],
    "an empty line": lambda text: text + "\n",
    "text": lambda text: text + "hello\n",
}


@pytest.mark.parametrize("edit", EDITS)
def test_a_line_that_was_edited_on_top_is_corrupt_for_everybody_who_looks(
    job: Job, git_http: GitServer, tmp_path: Path, edit: str
) -> None:
    ledger = job()
    fill(ledger, "first", "second", "third")
    committed_on_top(git_http, tmp_path, EDITS[edit])
    for reader in (ledger, job()) if edit != "a line less" else (ledger,):
        with pytest.raises(LedgerCorrupt):
            reader.verify()
        with pytest.raises(LedgerCorrupt):
            reader.append(STREAM, held("x"), after=3)


def filled(git_http: GitServer, folder: Path, count: int) -> None:
    """A ledger of so many entries, pushed at once: appending each would take minutes."""
    files = {"README.md": b"x"}
    for entry, _ in chained([(STREAM, held(f"fact {n}")) for n in range(count)]):
        path = path_of(entry.sequence)
        files[path] = appended(files.get(path, b""), entry)
    branch = RemoteBranch(folder / "filling", git_http.address(), BRANCH)
    assert branch.push(branch.commit(files, "all of them\n", parent=None, seconds=0), over=None)


@pytest.mark.parametrize("count", [99, 100, 101, 250])
def test_files_that_are_full_stay_and_the_next_one_begins(
    job: Job, git_http: GitServer, tmp_path: Path, count: int
) -> None:
    filled(git_http, tmp_path, count)
    one, two = job(), job()
    assert one.head().size == two.head().size == count
    fill(one, "x", "y")
    assert two.head() == two.verify() == job().verify() == one.head()
    files = git_http.git("ls-tree", "-r", "--name-only", BRANCH, "entries/").split()
    assert files == [path_of(first) for first in range(1, count + 3, 100)]


@pytest.mark.parametrize("count", [99, 199])
def test_one_that_was_killed_before_it_kept_the_commit_is_no_rewriting(
    job: Job, git_http: GitServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, count: int
) -> None:
    """Its copy has the entry that fills a file; the commit that it has kept has not."""
    filled(git_http, tmp_path, count)
    ledger = job()
    assert ledger.head().size == count
    with monkeypatch.context() as killed:
        killed.setattr(RemoteBranch, "keep", lambda *_: os._exit(9))
        child = os.fork()
        if child == 0:
            fill(ledger, "x")
        assert os.waitpid(child, 0)[1] == 9 << 8
    ledger.close()
    assert ledger.verify().size == count + 1
    fill(ledger, "y")
    assert ledger.head() == job().verify()


def test_an_edit_in_a_file_is_no_less_corrupt_after_a_kill(
    job: Job, git_http: GitServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    filled(git_http, tmp_path, 99)
    ledger = job()
    assert ledger.head().size == 99
    with monkeypatch.context() as killed:
        killed.setattr(RemoteBranch, "keep", lambda *_: None)
        fill(ledger, "x")
    committed_on_top(git_http, tmp_path, lambda text: text.replace("fact 7", "fact 8", 1))
    with pytest.raises(LedgerCorrupt):
        ledger.head()


def test_an_edit_in_an_older_file_is_corrupt(job: Job, git_http: GitServer, tmp_path: Path) -> None:
    filled(git_http, tmp_path, 101)
    ledger = job()
    assert ledger.verify().size == 101
    committed_on_top(git_http, tmp_path, lambda text: text.replace("fact 7", "fact 8", 1))
    for reader in (ledger, job()):
        with pytest.raises(LedgerCorrupt):
            reader.verify()


# --- how it is reached


def test_a_file_becomes_a_branch_as_the_documentation_says(
    job: Job, git_http: GitServer, tmp_path: Path
) -> None:
    page = (ROOT / "docs/how-to/move-the-ledger.md").read_text()
    move, look = re.findall(r"```sh\n(.*?)```", page, re.DOTALL)
    with SqliteLedger(tmp_path / ".immutag/ledger.db", actor="a person") as before:
        fill(before, *(f"fact {number}" for number in range(201)))
        head = head_of(before)
    (tmp_path / "immutag.toml").write_text(
        '[image]\nrepository = "127.0.0.1:1/api"\n[environments.production]\ntarget = "podman"\n'
    )
    env = {
        **os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "GIT_AUTHOR_NAME": "a", "GIT_AUTHOR_EMAIL": "a@b.c", "GIT_COMMITTER_NAME": "a",
        "GIT_COMMITTER_EMAIL": "a@b.c",
    }  # fmt: skip
    named = "https://github.com/OWNER/REPOSITORY"
    assert named in move
    bash = ["bash", "-e", "-o", "pipefail", "-c"]
    subprocess.run([*bash, move.replace(named, git_http.address())], cwd=tmp_path, env=env, check=True)
    env["IMMUTAG_LEDGER_URL"] = f"git+{git_http.address()}#{BRANCH}"
    seen = subprocess.run([*bash, look], cwd=tmp_path, env=env, check=True, capture_output=True, text=True)
    assert "201 entries" in seen.stdout
    moved = job()
    assert head_of(moved) == head
    fill(moved, "goes on")
    assert job().verify().size == 202


def test_the_clones_own_credentials_are_used_and_never_shown(git_http: GitServer, tmp_path: Path) -> None:
    """As a checkout in CI leaves them: in the clone's own configuration."""
    import base64

    git_http.locked = True
    clone = tmp_path / "clone"
    subprocess.run(["git", "init", "--quiet", clone], check=True)
    secret = base64.b64encode(f"{USERNAME}:{PASSWORD}".encode()).decode()
    header = f"Authorization: Basic {secret}"
    subprocess.run(
        ["git", "-C", clone, "config", f"http.http://127.0.0.1:{git_http.port}/.extraheader", header],
        check=True,
    )
    branch = RemoteBranch(tmp_path / "repo", git_http.address(), BRANCH, clone=clone)
    ledger = GitLedger(tmp_path / "cache", branch, actor="x")
    fill(ledger, "a")
    assert ledger.verify().size == 1
    stranger = GitLedger(
        tmp_path / "c2", RemoteBranch(tmp_path / "r2", git_http.address(), BRANCH), actor="x"
    )
    with pytest.raises(ConfigInvalid) as stopped:
        stranger.head()
    assert secret not in repr(stopped.value.as_json())


@pytest.mark.parametrize(
    ("url", "cause"),
    [
        ("file:///none.git", "does not appear to be a git repository"),
        ("ssh://127.0.0.1:1/a", "port 1: Connection refused"),
    ],
)
def test_a_repository_that_cannot_be_reached_is_named_with_the_cause(
    url: str, cause: str, tmp_path: Path
) -> None:
    ledger = GitLedger(tmp_path / "cache", RemoteBranch(tmp_path / "repo", url, BRANCH), actor="x")
    with pytest.raises(ConfigInvalid) as stopped:
        ledger.head()
    assert cause in stopped.value.found
    assert "Please make sure" not in stopped.value.found
    assert stopped.value.remedy.startswith(f"git ls-remote {url} ")


def test_a_server_that_is_not_there_is_no_empty_ledger(tmp_path: Path) -> None:
    with_password = f"http://{USERNAME}:{PASSWORD.replace(' ', '')}@127.0.0.1:9/ledger.git"
    ledger = open_ledger(tmp_path / "cache", with_password)
    for act in (ledger.head, ledger.verify, lambda: ledger.append(STREAM, held("a"), after=0)):
        with pytest.raises(ConfigInvalid) as stopped:
            act()
        assert PASSWORD.replace(" ", "") not in json.dumps(stopped.value.as_json())


@pytest.mark.parametrize("name", ["pre-receive", "update"])
def test_a_branch_that_may_not_be_written_says_so_at_once(name: str, job: Job, git_http: GitServer) -> None:
    """Whatever the server calls it, nobody else was faster."""
    ledger = job()
    fill(ledger, "a")
    hook = git_http.root / "ledger.git" / "hooks" / name
    hook.write_text("#!/bin/sh\necho 'rules of this repository' >&2\nexit 1\n")
    hook.chmod(0o755)
    with pytest.raises(ConfigInvalid) as stopped:
        ledger.append(STREAM, held("b"), after=1)
    assert "rules of this repository" in stopped.value.found
    assert job().head().size == 1


def test_a_branch_in_the_way_of_the_first_append_is_named(job: Job, git_http: GitServer) -> None:
    tree = git_http.git("mktree", "--missing")
    commit = git_http.git("-c", "user.name=x", "-c", "user.email=x@y", "commit-tree", "-m", "x", tree)
    git_http.git("update-ref", f"refs/heads/{BRANCH}/of-somebody", commit)
    with pytest.raises(ConfigInvalid) as stopped:
        job().append(STREAM, held("b"), after=0)
    assert f"{BRANCH}/of-somebody" in stopped.value.found


@pytest.mark.parametrize("entries", [0, 1])
def test_who_comes_while_another_has_the_branch_locked_tries_again(
    entries: int, job: Job, git_http: GitServer
) -> None:
    ledger = job()
    fill(ledger, *"a" * entries)
    lock = git_http.root / "ledger.git" / "refs" / "heads" / f"{BRANCH}.lock"
    lock.touch()
    timer = threading.Timer(1.5, lock.unlink)
    timer.start()
    ledger.append(STREAM, held("b"), after=entries)
    timer.join()
    assert job().verify().size == entries + 1


OLD_GIT = """\
#!/bin/sh
for each in "$@"; do
  case $each in
    --version) echo "git version 2.25.1"; exit ;;
    --no-write-fetch-head) printf 'error: unknown option\\nusage\\n\\n -v\\n -q\\n\\n' >&2; exit 129 ;;
  esac
done
exec {git} "$@"
"""


def test_a_git_that_is_too_old_is_said_by_doctor_and_by_what_it_said_itself(
    job: Job, git_http: GitServer, tmp_path: Path
) -> None:
    fill(job(), "a")
    old = tmp_path / "old" / "git"
    old.parent.mkdir()
    old.write_text(OLD_GIT.format(git=shutil.which("git")))
    old.chmod(0o755)
    (tmp_path / "immutag.toml").write_text(
        f'[image]\nrepository = "127.0.0.1:9/api"\n[ledger]\nurl = "git+{git_http.address()}"\n'
    )
    env = {**os.environ, "PATH": f"{old.parent}:{os.environ['PATH']}"}

    def said(*arguments: str) -> str:
        line = [sys.executable, "-m", "immutag", "--json", *arguments]
        return subprocess.run(line, cwd=tmp_path, env=env, capture_output=True, text=True, check=False).stdout

    assert "error: unknown option" in json.loads(said("ledger", "verify"))["error"]["found"]
    assert '"found": "git version 2.25.1: a ledger on a branch needs 2.31"' in said("doctor")


# --- many jobs


def run_jobs(git_http: GitServer, tmp_path: Path, writers: int, each: int, name: str = "job:{}") -> list[int]:
    """As many processes, none of which has seen the ledger; the milliseconds of all their appends."""
    running = [
        subprocess.Popen(
            [sys.executable, "-m", "tests.parts.git_appending", tmp_path / f"writer{n}", git_http.address(),
             name.format(n), str(each)],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=os.environ,
        )
        for n in range(writers)
    ]  # fmt: skip
    times: list[int] = []
    for process in running:
        out, errors = process.communicate(timeout=290)
        assert process.returncode == 0, errors.decode()
        times += map(int, out.split())
    return times


def test_of_many_jobs_that_append_none_is_lost_and_all_have_one_order(
    job: Job, git_http: GitServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    times = run_jobs(git_http, tmp_path, WRITERS, EACH)
    with capsys.disabled():
        print(
            f"\n{len(times)} appends by {WRITERS} jobs: {statistics.median(times)} ms in the middle, "
            f"{max(times)} at most"
        )
    audit = job()
    assert audit.verify().size == WRITERS * EACH
    for n in range(WRITERS):
        facts = [entry.fact for entry in audit.stream(Stream(f"job:{n}"))]
        assert facts == [held(f"job:{n} {number}") for number in range(EACH)]
