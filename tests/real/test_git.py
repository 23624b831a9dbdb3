"""Commits, branches and distances, as git itself made them."""

from collections.abc import Callable
from pathlib import Path

import pytest

from immutag.core.errors import ConfigInvalid, MissingSha
from immutag.core.values import GitSha
from immutag.git.commit import GitRepository, commit_time
from immutag.git.remote import https_url, without_credentials
from tests.parts.checkouts import Checkout

Make = Callable[..., Checkout]
UNKNOWN = GitSha("1" * 40)


@pytest.fixture
def checkout(git_repository: Make) -> Checkout:
    return git_repository()


def _found(checkout: Checkout) -> GitRepository:
    return GitRepository.find(checkout.path)


def _clone(checkout: Checkout, *options: str) -> Checkout:
    clone = Checkout(checkout.path.with_name("clone"))
    checkout.git("clone", "--quiet", *options, f"file://{checkout.path}", clone.path)
    return clone


# --- the repository


def test_a_repository_is_found_from_below(checkout: Checkout) -> None:
    below = checkout.path / "a" / "b"
    below.mkdir(parents=True)
    assert GitRepository.find(below).root == checkout.path


def test_a_folder_outside_of_a_repository_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigInvalid, match="not in a git repository"):
        GitRepository.find(tmp_path)
    with pytest.raises(ConfigInvalid):
        GitRepository.find(tmp_path / "none")


def test_a_bare_repository_is_refused(git_repository: Make) -> None:
    with pytest.raises(ConfigInvalid, match="bare"):
        _found(git_repository("bare.git", "--bare"))


def test_a_repository_of_another_user_is_refused_with_the_way_out(
    checkout: Checkout, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1")
    with pytest.raises(ConfigInvalid, match="git refuses") as refused:
        _found(checkout)
    assert f"safe.directory {checkout.path}" in refused.value.remedy


def test_a_machine_without_git_is_told_how_to_get_it(
    checkout: Checkout, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ConfigInvalid) as refused:
        _found(checkout)
    assert refused.value.remedy == "apt-get install git"


def test_a_hooks_surroundings_do_not_decide_which_repository_it_is(
    checkout: Checkout, git_repository: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours, other = checkout.commit("ours"), git_repository("other")
    other.commit("other", {"file": "other"})
    monkeypatch.setenv("GIT_DIR", str(other.path / ".git"))
    monkeypatch.setenv("GIT_WORK_TREE", str(other.path))
    monkeypatch.setenv("GIT_OBJECT_DIRECTORY", str(other.path / ".git" / "objects"))
    monkeypatch.setenv("GIT_SHALLOW_FILE", str(other.path / "file"))
    assert _found(checkout).root == checkout.path
    assert not _found(checkout).shallow
    assert _found(checkout).commit(None).sha == ours


def test_a_work_tree_beside_the_repository_has_its_own_head(checkout: Checkout) -> None:
    first = checkout.commit("first")
    checkout.git("worktree", "add", "--quiet", "-b", "topic", "../beside")
    checkout.commit("second")
    beside = GitRepository.find(checkout.path.with_name("beside"))
    assert beside.commit(None).sha == first
    assert beside.branch() == "topic"
    assert beside.is_on(first, "main")


# --- a commit


def test_head_is_a_commit_with_its_time(checkout: Checkout) -> None:
    sha = checkout.commit("one")
    found = _found(checkout).commit(None)
    assert found.sha == sha
    assert found.time_s == int(checkout.git("show", "--no-patch", "--format=%ct", sha))
    assert _found(checkout).commit(sha) == found


@pytest.mark.parametrize("time_s", ["-100", "253402300800", "9" * 20, "9" * 5000])
def test_a_time_that_nothing_can_carry_is_no_date(time_s: str) -> None:
    content = f"tree {'0' * 40}\nauthor A <a@b> 1 +0000\ncommitter A <a@b> {time_s} +0000\n\nmade\n"
    with pytest.raises(MissingSha, match="no date"):
        commit_time(content.encode())


def test_a_detached_head_is_fine(checkout: Checkout) -> None:
    first = checkout.commit("one")
    checkout.commit("two")
    checkout.git("checkout", "--quiet", "--detach", first)
    assert _found(checkout).commit(None).sha == first
    assert _found(checkout).branch() is None


def test_no_commit_yet_is_said_so(checkout: Checkout) -> None:
    with pytest.raises(MissingSha, match="no commit yet"):
        _found(checkout).commit(None)
    assert _found(checkout).branch() == "main"
    assert _found(checkout).is_dirty() == []


@pytest.mark.parametrize("what", ["HEAD^{tree}", "HEAD:file", "refs/tags/annotated"])
def test_the_id_of_something_else_is_no_commit(checkout: Checkout, what: str) -> None:
    checkout.commit("one", {"file": "content"})
    checkout.git("tag", "--annotate", "--message", "a tag object", "annotated")
    with pytest.raises(MissingSha) as refused:
        _found(checkout).commit(GitSha(checkout.git("rev-parse", what)))
    assert ": a t" in refused.value.found or ": a blob" in refused.value.found
    if "tag" in what:
        git, *arguments = refused.value.remedy.split()
        assert (git, checkout.git(*arguments)) == ("git", checkout.git("rev-parse", "HEAD"))


def test_a_commit_of_another_repository_is_refused(checkout: Checkout) -> None:
    checkout.commit("one")
    with pytest.raises(MissingSha) as refused:
        _found(checkout).commit(UNKNOWN)
    assert "unknown" in refused.value.found


def test_a_sha256_repository_is_refused_in_words(git_repository: Make) -> None:
    made = git_repository("sha256", "--object-format=sha256")
    made.git("commit", "--quiet", "--allow-empty", "--message", "one")
    with pytest.raises(MissingSha) as refused:
        _found(made).commit(None)
    assert refused.value.found == "the object format sha256"


def test_a_replaced_commit_is_still_itself(checkout: Checkout) -> None:
    first = checkout.commit("first", {"file": "1"})
    second = checkout.commit("second", {"file": "2"})
    checkout.git("replace", second, first)
    assert checkout.git("show", "--no-patch", "--format=%s", second) == "first"  # what git would say
    assert _found(checkout).subject(second) == "second"
    assert _found(checkout).commit(second).time_s == _found(checkout).commit(first).time_s + 60


@pytest.mark.parametrize("kind", ["branch", "tag"])
def test_a_reference_that_looks_like_a_sha_names_nothing(checkout: Checkout, kind: str) -> None:
    first = checkout.commit("first")
    second = checkout.commit("second")
    checkout.git("update-ref", f"refs/{'heads' if kind == 'branch' else 'tags'}/{first}", second)
    repository = _found(checkout)
    assert repository.commit(first).sha == first
    assert repository.subject(first) == "first"
    assert repository.distance(first, second) == (1, 0)
    assert repository.is_on(first, "main")


def test_the_subject_is_one_line_without_escapes(checkout: Checkout) -> None:
    sha = checkout.commit("red \x1b[31malert\nmore\n\nbody")
    assert _found(checkout).subject(sha) == "red �[31malert"
    assert _found(checkout).subject(UNKNOWN) is None


# --- a dirty tree


def test_tracked_changes_are_dirty_and_untracked_files_are_not(checkout: Checkout) -> None:
    checkout.commit("one", {"changed": "1", "staged": "1", "deleted": "1", "same": "1", "sub/ü\n": "1"})
    checkout.write({"untracked": "x"})
    assert _found(checkout).is_dirty() == []
    checkout.write({"changed": "2", "staged": "2", "sub/ü\n": "2"})
    (checkout.path / "deleted").unlink()
    checkout.git("add", "staged")
    found = GitRepository.find(checkout.path / "sub").is_dirty()
    assert sorted(found) == ["changed", "deleted", "staged", "sub/ü�"]


def test_a_touched_file_is_not_dirty(checkout: Checkout) -> None:
    checkout.commit("one", {"file": "1"})
    checkout.write({"file": "1"})
    assert _found(checkout).is_dirty() == []


def test_a_list_of_dirty_files_is_bounded(checkout: Checkout) -> None:
    checkout.commit("one", {f"file{number}": "1" for number in range(80)})
    checkout.write({f"file{number}": "2" for number in range(80)})
    assert len(_found(checkout).is_dirty()) == 50


# --- a branch


def test_a_commit_is_on_the_branch_that_holds_it(checkout: Checkout) -> None:
    on_main = checkout.commit("one")
    checkout.git("checkout", "--quiet", "-b", "topic")
    on_topic = checkout.commit("two")
    repository = _found(checkout)
    assert repository.branch() == "topic"
    assert repository.is_on(on_main, "main")
    assert not repository.is_on(on_topic, "main")
    assert repository.is_on(on_topic, "topic")


def test_a_tag_and_a_deeper_branch_of_that_name_do_not_confuse(checkout: Checkout) -> None:
    checkout.commit("one")
    checkout.git("checkout", "--quiet", "-b", "topic")
    on_topic = checkout.commit("two")
    checkout.git("tag", "main", on_topic)
    checkout.git("update-ref", "refs/heads/refs/heads/main", on_topic)
    checkout.git("update-ref", "refs/remotes/origin/main/deeper", on_topic)
    assert not _found(checkout).is_on(on_topic, "main")


def test_what_was_fetched_counts_as_well(checkout: Checkout) -> None:
    checkout.commit("one")
    clone = _clone(checkout)
    clone.git("checkout", "--quiet", "--detach")
    clone.git("branch", "--quiet", "--delete", "--force", "main")
    later = checkout.commit("two")
    clone.git("fetch", "--quiet")
    assert _found(clone).is_on(later, "main")


def test_a_remote_of_another_name_counts_if_it_is_the_only_one(checkout: Checkout) -> None:
    checkout.commit("one")
    clone = _clone(checkout, "--origin=upstream")
    later = checkout.commit("two")
    clone.git("fetch", "--quiet")
    repository = _found(clone)
    assert repository.is_on(later, "main")
    assert repository.default_branch() == "main"
    assert repository.remote_url() is not None
    clone.git("remote", "add", "fork", "https://example.com/someone/api.git")
    assert not repository.is_on(later, "main")
    assert repository.remote_url() is None


def test_without_the_branch_nothing_is_guessed(checkout: Checkout) -> None:
    sha = checkout.commit("one")
    with pytest.raises(ConfigInvalid) as refused:
        _found(checkout).is_on(sha, "trunk")
    assert refused.value.remedy == "git fetch origin +refs/heads/trunk:refs/remotes/origin/trunk"


def test_a_shallow_clone_knows_its_tip_and_says_when_it_does_not_know(checkout: Checkout) -> None:
    checkout.commit("one")
    checkout.git("checkout", "--quiet", "-b", "topic")
    on_topic = checkout.commit("two")
    checkout.git("checkout", "--quiet", "main")
    checkout.commit("three")
    tip = checkout.commit("four")
    clone = _clone(checkout, "--depth=1", "--no-single-branch")
    repository = _found(clone)
    assert repository.shallow
    assert repository.is_on(tip, "main")
    with pytest.raises(ConfigInvalid) as refused:
        repository.is_on(on_topic, "main")
    assert "--unshallow" in refused.value.remedy
    clone.git("fetch", "--quiet", "--unshallow")
    assert not _found(clone).is_on(on_topic, "main")


def test_what_lies_ahead_of_a_shallow_branch_is_known_not_to_be_on_it(checkout: Checkout) -> None:
    checkout.commit("one")
    checkout.commit("two")
    clone = _clone(checkout, "--depth=1")
    clone.git("checkout", "--quiet", "-b", "topic")
    assert not _found(clone).is_on(clone.commit("ahead"), "main")


# --- how far apart


def test_distance_is_ahead_and_behind(checkout: Checkout) -> None:
    first = checkout.commit("one")
    checkout.git("checkout", "--quiet", "-b", "topic")
    topic = checkout.commit("topic")
    checkout.git("checkout", "--quiet", "main")
    checkout.commit("two")
    third = checkout.commit("three")
    repository = _found(checkout)
    assert repository.distance(first, third) == (2, 0)
    assert repository.distance(third, first) == (0, 2)
    assert repository.distance(topic, third) == (2, 1)
    assert repository.distance(first, first) == (0, 0)
    assert repository.distance(first, UNKNOWN) is None
    assert repository.distance(UNKNOWN, UNKNOWN) is None


def test_a_graft_does_not_change_the_distance(checkout: Checkout) -> None:
    first, _, third = checkout.commit("one"), checkout.commit("two"), checkout.commit("three")
    (checkout.path / ".git" / "info" / "grafts").write_text(f"{third} {first}\n")
    assert _found(checkout).distance(first, third) == (2, 0)


def test_a_shallow_clone_knows_no_distance(checkout: Checkout) -> None:
    for number in range(4):
        checkout.commit(f"{number}")
    clone = _clone(checkout, "--depth=2")
    tip, before = clone.head, GitSha(clone.git("rev-parse", "HEAD~1"))
    assert _found(clone).distance(before, tip) is None
    assert _found(clone).changed_paths(before, tip) is None
    assert _found(clone).distance(tip, tip) == (0, 0)
    assert _found(clone).changed_paths(tip, tip) == []


def test_a_path_counts_as_changed_also_if_it_was_put_back(checkout: Checkout) -> None:
    first = checkout.commit("one", {"a": "1", "b": "1", "migrations/1": "1"})
    checkout.commit("two", {"b": "2", "migrations/2\n": "2"})
    (checkout.path / "migrations" / "2\n").unlink()
    third = checkout.commit("three")
    repository = _found(checkout)
    assert repository.changed_paths(first, third) == ["b", "migrations/2\n"]
    assert repository.changed_paths(third, first) == ["b", "migrations/2\n"]
    assert repository.changed_paths(first, first) == []
    assert repository.changed_paths(first, UNKNOWN) is None


def test_what_only_a_merge_brought_counts_as_changed(checkout: Checkout) -> None:
    first = checkout.commit("one", {"a": "1"})
    checkout.git("checkout", "--quiet", "-b", "topic")
    checkout.commit("topic", {"topic": "1"})
    checkout.git("checkout", "--quiet", "main")
    checkout.commit("two", {"main": "1"})
    checkout.git("merge", "--quiet", "--no-ff", "--no-commit", "topic")
    merge = checkout.commit("merge", {"evil": "1"})
    assert _found(checkout).changed_paths(first, merge) == ["evil", "main", "topic"]


# --- the remote


def test_the_remote_is_given_without_credentials(checkout: Checkout) -> None:
    assert _found(checkout).remote_url() is None
    checkout.git("remote", "add", "origin", "https://user:secret@example.com/owner/api.git")
    assert _found(checkout).remote_url() == "https://example.com/owner/api.git"


@pytest.mark.parametrize(
    ("url", "clean", "page"),
    [
        ("https://example.com/o/api.git", "https://example.com/o/api.git", "https://example.com/o/api"),
        ("https://token@example.com/o/api", "https://example.com/o/api", "https://example.com/o/api"),
        ("https://u:p@ss@example.com/o/api/", "https://example.com/o/api/", "https://example.com/o/api"),
        ("http://example.com:8080/o/api", "http://example.com:8080/o/api", "http://example.com:8080/o/api"),
        ("git@example.com:o/api.git", "git@example.com:o/api.git", "https://example.com/o/api"),
        ("ssh://git@example.com:22/o/api", "ssh://git@example.com:22/o/api", "https://example.com/o/api"),
        ("ssh://u:p@example.com/o/api", "ssh://u@example.com/o/api", "https://example.com/o/api"),
        ("/srv/api.git", "/srv/api.git", None),
        ("../api", "../api", None),
        ("file:///srv/api.git", "file:///srv/api.git", None),
        ("https://example.com", "https://example.com", None),
    ],
)
def test_an_address_has_a_clean_form_and_perhaps_a_page(url: str, clean: str, page: str | None) -> None:
    assert without_credentials(url) == clean
    assert https_url(url) == page


def test_the_default_branch_is_the_remotes_or_else_the_likeliest(checkout: Checkout) -> None:
    checkout.git("checkout", "--quiet", "-b", "trunk")
    checkout.commit("one")
    checkout.git("branch", "--quiet", "topic")
    assert _found(checkout).default_branch() == "trunk"
    clone = _clone(checkout)
    clone.git("checkout", "--quiet", "-b", "main")
    assert _found(clone).default_branch() == "trunk"
    checkout.git("branch", "--quiet", "main")
    assert _found(checkout).default_branch() == "main"
