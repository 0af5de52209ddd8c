// A connected client as cells of a table, the same in all user interfaces; one cell for each title. Pure.
import { durationText, printable } from "../../runtime/text/plain-text.ts";
import type { ClientStatus } from "../contract/contract.ts";

export const CLIENT_TITLES = [
  "Client",
  "User",
  "Speaks",
  "Connected",
  "Calls",
  "Last heard",
  "Last error",
] as const;

const OVER: Readonly<Record<ClientStatus["transport"], string>> = {
  http: "HTTP",
  sse: "HTTP+SSE",
  stdio: "stdio",
  fleet: "the fleet",
};

/** Cells of one line, safe to print; the last is "" if no call failed. */
export function clientCells(client: ClientStatus, nowMs: number): readonly string[] {
  const { name, version, user, group, protocol, transport, since, calls } = client;
  const { last_heard: heard, last_error: error } = client;
  const ago = (time: string): string => durationText(nowMs - Date.parse(time));
  return [
    version === null ? name : `${name} ${version}`,
    group === null ? user : `${user}, group ${group}`,
    `${protocol} over ${OVER[transport]}`,
    ago(since),
    String(calls),
    `${ago(heard)} ago`,
    error === null ? "" : `${error.message} (${ago(error.time)} ago)`,
  ].map(printable);
}
