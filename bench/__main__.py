"""`python -m bench`: every measurement; `python -m bench realtime` or `jobs`: one, with its options."""

from argparse import ArgumentParser

from bench import jobs, realtime

MEASUREMENTS = {"realtime": realtime, "jobs": jobs}


def main() -> None:
    parser = ArgumentParser(prog="python -m bench", description="Measure the platform on this machine.")
    subparsers = parser.add_subparsers(dest="measurement", help="which (all, with their defaults)")
    for name, module in MEASUREMENTS.items():
        module.add_arguments(subparsers.add_parser(name, description=module.__doc__))
    arguments = parser.parse_args()
    for name in [arguments.measurement] if arguments.measurement else MEASUREMENTS:
        chosen = arguments if arguments.measurement else subparsers.choices[name].parse_args([])
        print(f"\n## {name}\n", flush=True)
        MEASUREMENTS[name].run(chosen)


if __name__ == "__main__":
    main()
