"""`python -m bench NAME`: one measurement, with its options; without a name, those of DEFAULT."""

import importlib
import resource
from argparse import ArgumentParser, RawDescriptionHelpFormatter

from bench.noise import noise_told

MEASUREMENTS = {
    "realtime": "the predict path beside its floor",
    "peers": "the predict path beside other model servers",
    "inprocess": "a forest behind the queue beside the same forest inside an API process",
    "overload": "three times the load that it can carry",
    "fairness": "one tenant beside another's flood",
    "abuse": "floods of log-ins and of nonsense, and clients that dribble",
    "disconnects": "a thousand clients that leave before their answers",
    "chaos": "processes killed under load",
    "cache": "repeated traffic with the cache and without",
    "statistics": "what counting costs",
    "engines": "compiled models beside their own library",
    "cell": "what locking a model in costs",
    "placement": "two hundred models on a worker with room for twenty",
    "soak": "memory over a long load with new versions coming and going",
    "jobs": "a large file beside a plain loop",
    "fuzz": "broken files by the hundred thousand",
}
DEFAULT = ("realtime", "jobs")


def main() -> None:
    parser = ArgumentParser(prog="python -m bench", description="Measure the platform on this machine.")
    subparsers = parser.add_subparsers(
        dest="measurement", metavar="NAME", title=f"measurements (without a name: {', '.join(DEFAULT)})"
    )
    modules = {name: importlib.import_module(f"bench.{name}") for name in MEASUREMENTS}
    for name, module in modules.items():
        added = subparsers.add_parser(
            name,
            help=MEASUREMENTS[name],
            description=module.__doc__,
            formatter_class=RawDescriptionHelpFormatter,
        )
        module.add_arguments(added)
    arguments = parser.parse_args()
    _allow_many_connections()
    for name in [arguments.measurement] if arguments.measurement else DEFAULT:
        chosen = arguments if arguments.measurement else subparsers.choices[name].parse_args([])
        print(f"\n## {name}\n", flush=True)
        with noise_told():
            modules[name].run(chosen)


def _allow_many_connections() -> None:
    """As many open files as the system lets us have, here and in all that is started from here."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


if __name__ == "__main__":
    main()
