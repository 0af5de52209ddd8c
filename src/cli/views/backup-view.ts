// What a backup would bring to this home, for a person who decides about it. Pure.
import type { RestoreReport } from "../../api/in-process.ts";
import { paintFor, type TerminalStyle } from "../../runtime/text/paint.ts";
import { durationText, pluralize, printable } from "../../runtime/text/plain-text.ts";
import { warningLine } from "../input/options.ts";

/** `most`: how many lines a list has at most; of each entry that will run, three times as many. */
export function restoreLines(
  report: RestoreReport,
  style: TerminalStyle,
  nowMs: number,
  most: number,
): readonly string[] {
  const { made, runs, waits, people, programs, signIns, secrets, fleet, missing, broughtBack } = report;
  const paint = paintFor(style);
  const ageMs = nowMs - Date.parse(made.time);
  const age = `${durationText(Math.abs(ageMs))} ${ageMs < 0 ? "ahead of this clock" : "ago"}`;
  const cut = (lines: readonly string[], at: number): readonly string[] =>
    lines.length <= at ? lines : [...lines.slice(0, at), `and ${lines.length - at} more`];
  const all = (title: string, lines: readonly string[]): readonly string[] =>
    lines.length === 0 ? [] : [paint.bold(title), ...lines.map((line) => `  ${printable(line)}`)];
  const part = (title: string, lines: readonly string[]) => all(title, cut(lines, most));
  const knows = [
    ...people.map((name) => `the user ${name}`),
    ...programs,
    ...(report.hasManagementToken ? ["the owner, with the management token"] : []),
  ];
  return [
    `A backup of ${printable(made.home)}, made ${age} (${printable(made.time)}) by ${printable(made.user)} on ${printable(made.machine)}, Mountaineer ${printable(made.version)}`,
    ...all(
      "What will run, and who may do what:",
      runs.flatMap(({ id, text }) => {
        const lines = text.split("\n").filter((line) => line !== "");
        return [`${id}:`, ...cut(lines, most * 3).map((line) => `  ${line}`)];
      }),
    ),
    ...part("Waits for an approval there too:", waits),
    ...part("The person who made this file can sign in as:", knows),
    ...part("Signs in at these servers (if it did so since, sign in again there):", signIns),
    ...part("In it:", [
      pluralize(secrets.length, "secret"),
      ...(report.versions === 0
        ? []
        : [
            `${pluralize(report.versions, "earlier version")} of the configuration, each shown before you go back to it`,
          ]),
      ...(fleet === null
        ? []
        : [
            `the place of ${fleet.name} in its fleet; ${fleet.key === null ? "a copy disturbs it until [fleet].name and its credentials are others" : "a copy does not get its key"}`,
          ]),
    ]),
    ...part("Not on this machine:", missing),
    ...(broughtBack === null
      ? [
          warningLine(
            paint,
            `whatever was ended after ${printable(made.time)} is back: people, programs, approvals, pins`,
          ),
        ]
      : part("Was ended since, and is valid again:", broughtBack)),
  ];
}
