"""The commands: what each is called, where it lives, and what it does in a line. Nothing is imported."""

COMMANDS: dict[str, tuple[str, str]] = {
    "init": ("init", "write immutag.toml from what can be found out here"),
    "doctor": ("doctor", "say what is missing on this machine, and the command that mends it"),
    "release": ("release", "build a commit cleanly, push it, and give it its SHA tag, once"),
    "deploy": ("deploy", "run a released commit in an environment, by digest"),
    "rollback": ("rollback", "go back to a release that exists; never builds; holds the environment"),
    "hold": ("hold", "keep automatic deployments away from an environment, or let them back"),
    "status": ("status", "what runs in each environment"),
    "history": ("history", "what happened, newest first"),
    "show": ("show", "everything known about releases"),
    "verify": ("verify", "who vouches for an image"),
    "attestations": ("attestations", "what is attested of an image, by whomever and wherever it lies"),
    "sign": ("sign", "sign releases that exist, each once"),
    "adopt": ("adopt", "take SHA tags that other tools wrote into the ledger"),
    "policy": ("policy", "how far from mandatory verification, what it would refuse, the rule for others"),
    "sbom": ("sbom", "what is in a release, and what another one has instead"),
    "ledger": ("ledger", "verify, export, or print the head of the ledger"),
    "metrics": ("metrics", "print the metrics, folded from the ledger"),
    "workflows": (
        "workflows",
        "write the workflows of a CI service, or say where they differ from the template",
    ),
    "config": ("config", "show the configuration and where each value comes from"),
    "schema": ("schema", "print the JSON Schema of what immutag emits"),
    "help": ("help", "explain a command, or the exit codes"),
    "completion": ("completion", "print the completion script of a shell"),
}
