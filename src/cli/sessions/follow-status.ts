// `status --follow`: prints how things are, then each change once, in a sentence. Draws nothing, so that screen readers
// and pipes can follow.
import {
  absenceText,
  type ConnectionStatus,
  connectionTo,
  startDaemonConnection,
} from "../../api/client/daemon-connection.ts";
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
    const text = connectionSentence(link.connection.get());
    if (text !== null && text !== lastLine && (lastLine !== null || text !== CONNECTED)) printLine(text);
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

const CONNECTED = "connected";

function connectionSentence(connection: ConnectionStatus): string | null {
  if (connection.kind === "waiting") return `${absenceText(connection.sinceMs)}: ${connection.reason}`;
  return connection.kind === "connected" ? CONNECTED : null;
}
