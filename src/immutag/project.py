"""The composition root, and the library's public face: settings → adapters → use cases."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property, partial
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Protocol, Self

from immutag.actor import actor, run_address
from immutag.composition.adapters import Adapters
from immutag.core.errors import ImmutagError
from immutag.core.facts import Entry, Outcome, Stream, WriteOnce
from immutag.core.policy import Repositories
from immutag.core.report import Report
from immutag.core.values import Digest, EnvironmentName, GitSha, ImageRef, Repository
from immutag.core.views import Document
from immutag.settings import Settings, load

if TYPE_CHECKING:
    from immutag.composition.anchors import Anchors
    from immutag.composition.origins import Origins
    from immutag.composition.policies import Policies
    from immutag.composition.witnesses import Witnesses
    from immutag.core.facts import Evidence
    from immutag.core.packages import Difference
    from immutag.core.retention import KeepList
    from immutag.git.commit import Commit, GitRepository
    from immutag.ledger import Ledger
    from immutag.oci.profiles import Profile
    from immutag.trust.enforcers.render import Rule
    from immutag.trust.root import RootOfTrust
    from immutag.trust.rule import TrustRule
    from immutag.usecases.deployer import Deployer, Ended
    from immutag.usecases.release import Order
    from immutag.usecases.sbom import Sbom, Sboms


class MakeRecord(Protocol):
    """A log record from an environment's entries; what changed nothing says so itself."""

    def __call__(
        self,
        entries: Sequence[Entry],
        *,
        sha: GitSha | None = None,
        outcome: Outcome | None = None,
        running: Digest | None = None,
    ) -> Document: ...


class Project:
    """A service: its configuration, its ledger, and what can be done with it.

    `last_record` is the log record of the last release, deploy or rollback, however it ended.
    """

    def __init__(
        self, settings: Settings, directory: Path, environ: Mapping[str, str], report: Report
    ) -> None:
        self.settings = settings
        self._directory = directory
        self.last_record: Document | None = None
        self.repositories = Repositories(
            settings.image.repository, settings.image.staging, settings.image.main
        )
        self._adapters = Adapters(settings, directory, environ)
        self._environ = environ
        self._report = report

    @classmethod
    def open(cls, directory: Path, config: Path | None, environ: Mapping[str, str], report: Report) -> Self:
        """The project whose configuration is nearest. Raises ConfigInvalid."""
        return cls(load(directory, config, environ), directory, environ, report)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._adapters.close()
        if "ledger" in vars(self):  # not opened only to be closed
            self.ledger.close()

    @cached_property
    def ledger(self) -> "Ledger":
        from immutag.composition.ledgers import open_ledger

        return open_ledger(self.settings.ledger, self._directory, actor=actor(self._environ))

    # --- acts: each gives its log record

    def release(self, sha: GitSha | None, given: Path | None) -> Document:
        """Release a commit, HEAD by default; its content from a layout or archive where one is given."""
        from immutag.build.workspace import Workspace
        from immutag.composition.contents import maker
        from immutag.core.records import build_record
        from immutag.git.commit import GitRepository
        from immutag.oci.layout import Layout
        from immutag.usecases.artifacts import save_metadata
        from immutag.usecases.release import Content, release

        git = GitRepository.find(self._directory)
        wanted, commit = self._order(sha, git, given=given is not None)
        with (
            Workspace.open(self._state / "builds", commit.sha) as workspace,
            self._recorded(wanted.stream, build_record),
        ):
            self.witnesses.soon()
            release(
                wanted,
                content=Content(
                    make=maker(
                        given,
                        commit,
                        wanted.source,
                        git=git,
                        workspace=workspace,
                        settings=self.settings,
                        report=self._report,
                    ),
                    layout=lambda: Layout(workspace.layout),
                    discard=workspace.discard,
                ),
                witness=self.witnesses.of(
                    wanted, commit, lambda: Layout(workspace.layout) if workspace.layout.exists() else None
                ),
                registry=self._adapters.registry(wanted.tag.repository),
                ledger=self.ledger,
                verify=partial(self._adapters.verify, wanted.tag.repository),
                report=self._report,
            )
        record = self._done(build_record(self.ledger.stream(wanted.stream), confirmed=True))
        save_metadata(self._state / "artifacts", commit.sha, record)
        return record

    def deploy(
        self,
        sha: GitSha,
        environment: EnvironmentName,
        automatic: bool,
        reason: str | None = None,
        allow_unverified: bool = False,
    ) -> Document:
        """Run a release in an environment; unverified where that is forbidden only for a person's reason."""
        from immutag.core.records import deploy_record
        from immutag.usecases.deploy import deploy

        deployer = self._deployer(environment)
        with self._recorded(deployer.stream, deploy_record):
            ended = deploy(
                sha,
                automatic=automatic,
                reason=reason,
                allow_unverified=allow_unverified,
                deployer=deployer,
                history=self._adapters.history,
                run=run_address(self._environ),
            )
        return self._ended(deploy_record, deployer.stream, sha, ended)

    def rollback(
        self,
        sha: GitSha,
        environment: EnvironmentName,
        reason: str | None,
        acknowledged: bool,
        allow_unverified: bool = False,
    ) -> Document:
        """Go back to a release, and hold the environment."""
        from immutag.core.records import rollback_record
        from immutag.usecases.rollback import rollback

        deployer = self._deployer(environment)
        with self._recorded(deployer.stream, rollback_record):
            ended = rollback(
                sha,
                reason=reason,
                acknowledged=acknowledged,
                allow_unverified=allow_unverified,
                deployer=deployer,
                history=self._adapters.history,
                run=run_address(self._environ),
            )
        return self._ended(rollback_record, deployer.stream, sha, ended)

    def plan(
        self,
        sha: GitSha,
        environment: EnvironmentName,
        automatic: bool,
        reason: str | None = None,
        allow_unverified: bool = False,
    ) -> Document:
        """What `deploy` would do: every check, and no act."""
        from immutag.usecases.deploy import rehearse

        deployer = self._deployer(environment)
        return rehearse(
            sha,
            automatic=automatic,
            reason=reason,
            allow_unverified=allow_unverified,
            deployer=deployer,
            history=self._adapters.history,
        ).as_document()

    def plan_rollback(
        self,
        sha: GitSha,
        environment: EnvironmentName,
        acknowledged: bool,
        reason: str | None = None,
        allow_unverified: bool = False,
    ) -> Document:
        """What `rollback` would do: every check, and no act."""
        from immutag.usecases.rollback import rehearse

        deployer = self._deployer(environment)
        plan = rehearse(
            sha,
            reason=reason,
            acknowledged=acknowledged,
            allow_unverified=allow_unverified,
            deployer=deployer,
            history=self._adapters.history,
        )
        return plan.as_document() | self._sboms.preview(plan.previous.sha if plan.previous else None, sha)

    def sign(self, shas: Sequence[GitSha]) -> list[Document]:
        """Sign releases that exist, each once; gives the record of each."""
        from immutag.core.records import build_record
        from immutag.usecases.sign_release import sign_release

        streams = [
            sign_release(
                sha,
                sign=self.witnesses.sign,
                verify=self._adapters.verify,
                repositories=self.repositories,
                ledger=self.ledger,
                report=self._report,
            )
            for sha in shas
        ]
        return [build_record(self.ledger.stream(stream), confirmed=True) for stream in streams]

    def adopt(self, shas: Sequence[GitSha]) -> list[Document]:
        """Take existing SHA tags into the ledger, one after the other; gives the record of each."""
        from immutag.core.records import build_record
        from immutag.git.commit import GitRepository
        from immutag.usecases.adopt import adopt

        git = GitRepository.find(self._directory)
        records = []
        for sha in shas:
            wanted, _ = self._order(sha, git, given=True)
            adopt(
                wanted,
                registry=self._adapters.registry(wanted.tag.repository),
                ledger=self.ledger,
                verify=partial(self._adapters.verify, wanted.tag.repository),
                enforcement=self.settings.trust.verification,
                report=self._report,
            )
            records.append(build_record(self.ledger.stream(wanted.stream), confirmed=True))
        return records

    def adopt_all(self) -> list[Document]:
        """Adopt the SHA tags in both repositories that are commits of this clone and have no claim. What is
        wrong with one of them stands in its place, as `image_sha` and `error`, and stops no other."""
        from immutag.core.errors import DigestMismatch, MissingTag, PolicyViolation
        from immutag.git.commit import GitRepository
        from immutag.usecases.unknown import unknown

        shas = unknown(
            git=GitRepository.find(self._directory),
            repositories=self.repositories,
            tags=lambda repository: self._adapters.registry(repository).tags(),
            ledger=self.ledger,
        )
        found: list[Document] = []
        for sha in shas:
            try:
                found += self.adopt([sha])
            except (PolicyViolation, DigestMismatch, MissingTag) as error:
                found.append({"image_sha": str(sha), "error": error.as_json()})
        return found

    def hold(self, environment: EnvironmentName, reason: str) -> None:
        """Automatic deployments stay away from now on."""
        from immutag.usecases.hold import hold

        self._adapters.environment(environment)
        hold(
            environment,
            reason,
            canonical=self.repositories.canonical,
            ledger=self.ledger,
            stream=self._stream(environment),
        )

    def lift(self, environment: EnvironmentName, reason: str) -> None:
        """Automatic deployments may come back; nothing happens where nothing was held."""
        from immutag.usecases.hold import lift

        self._adapters.environment(environment)
        lift(
            environment,
            reason,
            canonical=self.repositories.canonical,
            ledger=self.ledger,
            stream=self._stream(environment),
        )

    def probe(self) -> WriteOnce:
        """How write-once the registry is, tried on a scratch tag of the staging repository."""
        from immutag.usecases.probe import probe

        image = self.settings.image
        return probe(
            registry=self._adapters.registry(image.staging),
            repositories=(image.repository, image.staging),
            ledger=self.ledger,
        )

    def reach(self, repository: Repository) -> None:
        """Raises RegistryAuth or RegistryUnavailable unless the registry lets us in."""
        self._adapters.registry(repository).ping()

    def profile(self, repository: Repository) -> "Profile | None":
        """What kind of registry it is: by its name, or else by how it greets. Raises RegistryUnavailable."""
        from immutag.oci.profiles import profile_of_greeting, profile_of_host

        known = profile_of_host(repository.host)
        return known or profile_of_greeting(self._adapters.registry(repository).greeting())

    # --- views

    def status(self, environments: Sequence[EnvironmentName]) -> list[Document]:
        """What runs, as recorded: in these environments, or in all."""
        from immutag.core.views import status_document
        from immutag.usecases.lease import is_abandoned
        from immutag.usecases.state import state_of

        found = []
        for name in environments or self.settings.environments:
            self._adapters.environment(name)
            state = state_of(self.ledger, self._stream(name))
            interrupted = state.lease is not None and is_abandoned(*state.lease)
            found.append(status_document(name, state, interrupted=interrupted))
        return found

    def history(self, environment: EnvironmentName | None, limit: int) -> Sequence[Entry]:
        """What happened, newest first. Raises ConfigInvalid for an environment that nobody knows."""
        if environment is None:
            return self.ledger.recent(limit)
        found = self.ledger.stream(self._stream(environment), last=limit)
        if not found:
            self._adapters.environment(environment)
        return list(reversed(found))

    def candidates(self, environment: EnvironmentName) -> list[Document]:
        """What a rollback could go to, newest first."""
        from immutag.usecases.candidates import candidates

        self._adapters.environment(environment)
        return candidates(
            environment,
            ledger=self.ledger,
            stream=self._stream(environment),
            history=self._adapters.history,
        )

    def show(self, texts: Sequence[str]) -> list[Document]:
        """Each named release; of several, the error of one that is none. Raises it where one is named:
        MissingSha, MissingTag."""
        from immutag.composition.several import documents, or_error
        from immutag.usecases.show import show
        from immutag.usecases.state import state_of

        states = {name: state_of(self.ledger, self._stream(name)) for name in self.settings.environments}

        def answer(text: str) -> Document:
            sha = self._named(text)
            return show(sha, repositories=self.repositories, ledger=self.ledger, states=states)

        return documents(texts, [or_error(answer, text) for text in texts])

    def verify(self, texts: Sequence[str], explain: bool = False) -> list[Document]:
        """Who vouches for each named image; a release, or any `repository@digest`."""
        from immutag.composition.verifications import Verifications

        verifications = Verifications(self._adapters, self._told_rule)
        return verifications.verify(texts, self._named_image, explain=explain)

    def attestations(self, texts: Sequence[str], source: str | None) -> list[Document]:
        """What is attested of each named image, by whomever; what is new goes into the ledger."""
        from immutag.composition.attested import Attested

        attested = Attested(self.settings, self._adapters, self.ledger, self._environ)
        return attested.attestations(texts, self._named_image, source)

    def sbom(self, text: str, wanted: "Evidence | None") -> "Sbom":
        """The named release's SBOM, read back: in this format, or the newest. Raises MissingTag."""
        return self._sboms.read(self._named(text), wanted)

    def sbom_difference(self, old: str, new: str) -> "Difference":
        """The packages that the second named release has instead of the first one's. Raises MissingTag."""
        return self._sboms.difference(self._named(old), self._named(new))

    @property
    def trust_rule(self) -> "TrustRule":
        """Whose signatures count. Raises ConfigInvalid."""
        return self._adapters.trust_rule

    @property
    def root_of_trust(self) -> "RootOfTrust":
        """The Sigstore that vouches for identities and logs, read when it is needed."""
        return self._adapters.root_of_trust

    @cached_property
    def witnesses(self) -> "Witnesses":
        """Who signs here, and what is attached to a release."""
        from immutag.composition.witnesses import Witnesses

        return Witnesses(
            self.settings,
            self._environ,
            registry=self._adapters.registry,
            root=lambda: self._adapters.root_of_trust,
            ledger=self.ledger,
            report=self._report,
        )

    @property
    def anchors(self) -> "Anchors":
        """The ledger's head outside: left there, held against the ledger, and proofs under it."""
        from immutag.composition.anchors import Anchors

        return Anchors(
            self.settings, self._adapters, self.ledger, signer=self.witnesses.signer, report=self._report
        )

    @property
    def policies(self) -> "Policies":
        """The trust rule: how far from mandatory, what it would have refused, and as others are told it."""
        from immutag.composition.policies import Policies

        return Policies(self.settings, self._adapters, self.ledger)

    def exposition(self) -> str:
        """The metrics, folded from the whole ledger (Prometheus text format)."""
        from immutag.metrics import exposition

        return exposition(self.ledger.entries())

    def keep(self, environments: Sequence[EnvironmentName], candidates: int) -> "KeepList":
        """What clean-up must spare, for these environments or for all that the ledger knows.

        Raises RegistryUnavailable, RegistryAuth, DigestMismatch; MissingTag if what runs is gone, or if there
        is nothing to spare; ConfigInvalid where the ledger is a CI job's own.
        """
        from immutag.oci.objects import Objects
        from immutag.usecases.retention import keep, require_shared

        for name in environments:
            self._adapters.environment(name)
        require_shared(
            self.ledger, accepted=not self._environ.get("CI") or self.settings.ledger.accept_unshared
        )
        return keep(
            environments,
            candidates=candidates,
            repositories=self.repositories,
            signatures=self.settings.trust.signature_repository,
            ledger=self.ledger,
            registry=self._adapters.registry,
            objects=Objects.of_user(self._environ),
            report=self._report,
        )

    # --- between

    @property
    def _origins(self) -> "Origins":
        from immutag.composition.origins import Origins

        return Origins(self.settings, self._adapters, self.witnesses, ledger=self.ledger, report=self._report)

    @property
    def _sboms(self) -> "Sboms":
        from immutag.usecases.sbom import Sboms

        return Sboms(self.repositories, self.ledger, self._adapters.registry)

    @property
    def _state(self) -> Path:
        return self.settings.root / ".immutag"

    def _told_rule(self) -> "Rule":
        """Asked only for an explanation: the policies open the ledger, and verifying a reference does not."""
        return self.policies.rule()

    def _stream(self, environment: EnvironmentName) -> Stream:
        return Stream.environment(self.repositories.canonical, environment)

    def _named(self, text: str) -> GitSha:
        from immutag.usecases.name import named

        return named(
            text,
            ledger=self.ledger,
            stream=self._stream,
            environments=frozenset(self.settings.environments),
        )

    def _named_image(self, text: str) -> ImageRef:
        from immutag.usecases.name import named_image

        return named_image(text) if "@" in text else self._image(self._named(text))

    def _image(self, sha: GitSha) -> ImageRef:
        document = self.show([str(sha)])[0]
        return ImageRef.parse(str(document["image"]))

    def _order(self, sha: GitSha | None, git: "GitRepository", *, given: bool) -> "tuple[Order, Commit]":
        from immutag.usecases.order import order

        return order(
            sha,
            git=git,
            repositories=self.repositories,
            ledger=self.ledger,
            given=given,
            short_tag=self.settings.image.short_tag,
            unshared_is_accepted=not self._environ.get("CI") or self.settings.ledger.accept_unshared,
        )

    def _deployer(self, environment: EnvironmentName) -> "Deployer":
        from immutag.composition.deployers import deployer

        return deployer(
            environment,
            adapters=self._adapters,
            origins=self._origins,
            repositories=self.repositories,
            enforcement=self.settings.trust.verification,
            ledger=self.ledger,
            report=self._report,
        )

    @contextmanager
    def _recorded(self, stream: Stream, record: Callable[[Sequence[Entry]], Document]) -> Iterator[None]:
        """Whatever error ends this: if it left facts, `last_record` tells of them."""
        newest = self.ledger.stream(stream, last=1)
        try:
            yield
        except ImmutagError:
            entries = self.ledger.stream(stream)
            if entries and entries[-1:] != newest:
                self.last_record = record(entries)
                self._emit_metrics()
            raise

    def _ended(self, record: "MakeRecord", stream: Stream, sha: GitSha, ended: "Ended") -> Document:
        """The act's record; then what is signed about it. Nothing of that changes how it ended."""
        entries, unchanged = self.ledger.stream(stream), ended.outcome is Outcome.UNCHANGED
        if unchanged:
            found = record(entries, sha=sha, outcome=ended.outcome, running=ended.running_digest)
        else:
            found = record(entries, sha=sha)
        self.last_record = found
        note = None if unchanged else self.anchors.anchor_where_possible()
        self._origins.summarise(stream, note)
        return self._done(found)

    def _done(self, record: Document) -> Document:
        self.last_record = record
        self._emit_metrics()
        return record

    def _emit_metrics(self) -> None:
        if self.settings.metrics.enabled:
            from immutag.metrics import emit

            emit(self.settings.metrics, self.ledger, http=self._adapters.http(), report=self._report)
