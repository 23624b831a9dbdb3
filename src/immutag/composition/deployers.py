"""Settings → what brings releases into one environment."""

from functools import partial

from immutag.composition.adapters import Adapters
from immutag.composition.origins import Origins
from immutag.core.facts import Stream
from immutag.core.policy import Enforcement, Repositories
from immutag.core.report import Report
from immutag.core.values import EnvironmentName
from immutag.ledger import Ledger
from immutag.usecases.acts import Acts
from immutag.usecases.deployer import Deployer
from immutag.usecases.plan import find_release, plan


def deployer(
    environment: EnvironmentName,
    *,
    adapters: Adapters,
    origins: Origins,
    repositories: Repositories,
    enforcement: Enforcement,
    ledger: Ledger,
    report: Report,
) -> Deployer:
    """For this environment. Raises ConfigInvalid for one that the configuration does not name."""
    place, target = adapters.environment(environment), adapters.target(environment)
    return Deployer(
        find_release=partial(find_release, environment=place, repositories=repositories, ledger=ledger),
        make_plan=partial(
            plan,
            environment=place,
            history=adapters.history,
            registry=adapters.registry,
            target=target,
            verify=adapters.verify,
            find_origin=origins.of,
            report=report,
        ),
        enforcement=enforcement,
        acts=Acts(place, target, adapters.wait_healthy, report),
        ledger=ledger,
        stream=Stream.environment(repositories.canonical, environment),
        canonical=repositories.canonical,
    )
