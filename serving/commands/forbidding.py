"""The commands by which people take answers from the machine: must-not-answer rules and the crisis brake."""

import argparse

from data.user_name import user_name
from serving.commands.verbs import DONE, MISUSE, Verbs, add_journal, add_verb, reply, say


def add(verbs: Verbs) -> None:
    """Nothing; `rules` and `brake` are there."""
    ruling = add_verb(
        verbs,
        "rules",
        rules,
        "list the must-not-answer rules, or take one away",
        "rules",
        'rules --remove 01KAN4Z1WFV8T9KT2V1JY5DB7N --reason "the offer has ended"',
    )
    ruling.add_argument("--remove", metavar="ID", help="the rule to take away")
    ruling.add_argument("--reason", default="", metavar="WHY", help="why it is taken away")
    braking = add_verb(
        verbs,
        "brake",
        brake,
        "tell what the crisis brake did, hold it, or let it go",
        "brake",
        'brake --hold "wrong prices in our answers"',
        'brake --release "a campaign of ours"',
    )
    moving = braking.add_mutually_exclusive_group()
    moving.add_argument("--hold", metavar="WHY", help="let no machine answer until somebody lets it go")
    moving.add_argument("--release", metavar="WHY", help="let it go, until more comes than usual once more")
    add_journal(ruling, braking)


def rules(arguments: argparse.Namespace) -> int:
    """Lists the must-not-answer rules that hold, or takes one away. Servers follow within two seconds."""
    from serving.journal.database import existing_database
    from serving.journal.rules import remove_rule, standing_rules
    from serving.settings import read_settings

    settings = read_settings(journal=arguments.journal, host="127.0.0.1")
    with existing_database(settings) as database:
        removed = arguments.remove and database.write(
            remove_rule, arguments.remove, by=user_name(), reason=arguments.reason
        )
        found = database.read(standing_rules)
    if arguments.remove and not removed:
        say(f"Nothing was removed: no rule {arguments.remove} holds. Wanted: the id of one. List them with `rules`.")
        return MISUSE
    for rule in found:
        say(f"{rule.id}  {rule.kind:5}  {rule.model_version}  by {rule.author}: {rule.words}")
    reply({"rules": [rule.id for rule in found], "removed": arguments.remove})
    return DONE


def brake(arguments: argparse.Namespace) -> int:
    """Tells what the crisis brake did of late, holds it, or lets it go.

    Every server of the journal follows within five seconds. Held by hand, it lets go by hand alone.
    """
    from serving.journal.brake import BrakeStepError, brake_events, move_brake, standing_brake
    from serving.journal.database import existing_database
    from serving.settings import read_settings

    settings = read_settings(journal=arguments.journal, host="127.0.0.1")
    with existing_database(settings) as database:
        try:
            if arguments.hold is not None:
                database.write(move_brake, "engaged", why=arguments.hold, by=user_name())
            if arguments.release is not None:
                database.write(move_brake, "released", why=arguments.release, by=user_name())
        except BrakeStepError as error:
            say(str(error))
            return MISUSE
        standing = database.read(standing_brake)
        events = database.read(brake_events, most=20)
    for event in events:
        say(f"{event.at:%Y-%m-%d %H:%M:%S} UTC  {event.event} by {event.by}: {event.cause}")
    reply({"engaged": standing.engaged, "by_hand": standing.by_hand, "events": len(events)})
    return DONE
