// `status --follow`: prints how things are, then each change once, in a sentence. Draws nothing, so that screen readers
// and pipes can follow.
import { absenceText, connectionTo, startDaemonConnection } from "../../api/client/daemon-connection.ts";
import { changesBetween, type Statements, statementsOf } from "../../api/labels/change-labels.ts";
import { whenAborted } from "../../runtime/abort.ts";
import { printable } from "../../runtime/text/plain-text.ts";
import type { CommandContext } from "../input/command.ts";
import { untilUnread } from "./show-log.ts";

/** Resolves when the signal aborts or stdout is closed. Waits for the daemon while it does not answer. */
export async function followStatus({ home, remote, signal, print }: CommandContext): Promise<void> {
  const until = untilUnread(signal);
  const link = startDaemonConnection({ connect: connectionTo(home, remote, until), signal: until });
  const printLine = (sentence: string): void => print(`${printable(sentence)}\n`);
  let lastLine: string | null = null;
  link.connection.subscribe(() => {
    const connection = link.connection.get();
    const isOn = connection.kind === "connected";
    const text = isOn ? connection.kind : absenceText(connection);
    if (text !== null && text !== lastLine && (lastLine !== null || !isOn)) printLine(text);
    lastLine = text ?? lastLine;
  });
  let known: Statements = new Map();
  link.status.subscribe(() => {
    const report = link.status.get();
    if (report === null) return;
    const now = statementsOf(report);
    for (const sentence of changesBetween(known, now)) printLine(sentence);
    known = now;
  });
  await whenAborted(until);
}
