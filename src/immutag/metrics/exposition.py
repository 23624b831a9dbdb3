"""The totals in Prometheus's text format, under the contracts' names."""

from collections.abc import Iterable, Iterator

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from immutag.core.facts import Entry
from immutag.metrics.fold import Durations, Totals, fold


def exposition(entries: Iterable[Entry]) -> str:
    """All metrics of a ledger, from its entries from the first on. Raises LedgerCorrupt."""
    return text(fold(entries))


def text(totals: Totals) -> str:
    """The totals as the text that Prometheus scrapes."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Folded(totals))
    return generate_latest(registry).decode()


class _Folded(Collector):
    """What the library asks for its metrics: here all are known beforehand."""

    def __init__(self, totals: Totals) -> None:
        self._totals = totals

    def describe(self) -> Iterator[Metric]:
        """None: they are unique by themselves, and need not be collected to see that."""
        return iter(())

    def collect(self) -> Iterator[Metric]:
        totals = self._totals
        yield _counter(
            "image_build_total",
            "Images that were built.",
            ("repository_type",),
            (((kind,), count) for kind, count in totals.builds.items()),
        )
        yield _counter(
            "deploy_total",
            "Deployments that ended, by how they ended.",
            ("environment", "outcome"),
            totals.deployments.items(),
        )
        yield _counter(
            "rollback_total",
            "Rollbacks that ended, however they ended.",
            ("repository_type",),
            (((kind,), count) for kind, count in totals.rollbacks.items()),
        )
        yield _counter(
            "signature_verification_total",
            "Verifications of an image's signature, by what was found.",
            ("status", "reason"),
            totals.verifications.items(),
        )
        yield _counter(
            "digest_mismatch_total",
            "Digests that were not what they had to be, by the check that noticed.",
            ("stage",),
            (((stage,), count) for stage, count in totals.mismatches.items()),
        )
        yield _histogram("image_build_duration_seconds", "How long builds took.", totals.build)
        yield _histogram("deploy_duration_seconds", "How long deployments took.", totals.deploy)
        yield _histogram("rollback_duration_seconds", "How long rollbacks took.", totals.rollback)


def _counter(
    name: str, documentation: str, labels: tuple[str, ...], counts: Iterable[tuple[tuple[str, ...], int]]
) -> Metric:
    family = CounterMetricFamily(name, documentation, labels=labels)
    for values, count in sorted(counts):
        family.add_metric(values, count)
    return family


def _histogram(name: str, documentation: str, durations: Durations) -> Metric:
    bounds = [*map(str, map(float, durations.bounds_s)), "+Inf"]
    buckets, total = [], 0
    for bound, count in zip(bounds, durations.counts, strict=True):
        total += count
        buckets.append((bound, total))
    return HistogramMetricFamily(name, documentation, buckets=buckets, sum_value=durations.sum_ms / 1000)
