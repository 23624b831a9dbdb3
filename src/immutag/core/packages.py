"""Packages, as SBOMs list them, and what changed between two lists. Pure."""

from collections.abc import Iterable

from immutag.core.frozen import frozen


@frozen(order=True)
class Package:
    """A package, in the words of whoever made it. `purl` is empty where the document has none."""

    name: str
    version: str
    purl: str

    @property
    def identity(self) -> str:
        """What stays when its version changes: the purl's type, namespace and name (purl-spec)."""
        before = self.purl.partition("?")[0].partition("#")[0]
        name, at, _ = before.rpartition("@")
        return (name if at and not name.endswith("/") else before) or self.name

    def as_document(self) -> dict[str, str]:
        return {"name": self.name, "version": self.version, "purl": self.purl}


@frozen(order=True)
class Changed:
    """A package that is there before and after, in one version each. `name` and `purl` are the new ones."""

    name: str
    old: str
    new: str
    purl: str


@frozen()
class Difference:
    """What came, what went, and what is there in another version."""

    added: tuple[Package, ...]
    removed: tuple[Package, ...]
    changed: tuple[Changed, ...]

    def as_document(self) -> dict[str, object]:
        """What `sbom diff --json` prints."""
        changed = [
            {"name": each.name, "old": each.old, "new": each.new, "purl": each.purl} for each in self.changed
        ]
        return {
            "added": [each.as_document() for each in self.added],
            "removed": [each.as_document() for each in self.removed],
            "changed": changed,
        }

    def as_preview(self) -> dict[str, object]:
        """What a rollback's preview says of it, in words."""
        return {
            "packages_changed": [f"{each.name} {each.old} → {each.new}" for each in self.changed],
            "packages_added": [f"{each.name} {each.version}" for each in self.added],
            "packages_removed": [f"{each.name} {each.version}" for each in self.removed],
        }

    def __str__(self) -> str:
        return f"{len(self.changed)} changed, {len(self.added)} added, {len(self.removed)} removed"


def difference(old: Iterable[Package], new: Iterable[Package]) -> Difference:
    """A package that lost one version and gained one is changed. Where there are several of each, nobody can
    say which became which: they are removed and added."""
    before, after = _by_identity(old), _by_identity(new)
    added: list[Package] = []
    removed: list[Package] = []
    changed: list[Changed] = []
    for identity in before.keys() | after.keys():
        was, now = before.get(identity, {}), after.get(identity, {})
        gone = [was[version] for version in was.keys() - now.keys()]
        come = [now[version] for version in now.keys() - was.keys()]
        if len(gone) == len(come) == 1:
            changed.append(Changed(come[0].name, gone[0].version, come[0].version, come[0].purl))
        else:
            added += come
            removed += gone
    return Difference(tuple(sorted(added)), tuple(sorted(removed)), tuple(sorted(changed)))


def _by_identity(found: Iterable[Package]) -> dict[str, dict[str, Package]]:
    """Each package's versions."""
    by_identity: dict[str, dict[str, Package]] = {}
    for package in sorted(found):
        by_identity.setdefault(package.identity, {})[package.version] = package
    return by_identity
