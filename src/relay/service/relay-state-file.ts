// The relay's state file: the shares and their ports, so that a restarted relay can continue.
import { join } from "node:path";
import { readIfPresent, removeLeftovers } from "../../runtime/files/durable-file.ts";
import { createDurableValue } from "../../runtime/files/durable-value.ts";
import type { Logger } from "../../runtime/log/log.ts";
import type { ProcessIdentity } from "../../runtime/process/process-identity.ts";
import { number, object, reader, text } from "../../runtime/shape.ts";
import { isObject, jsonObject } from "../../runtime/text/json-object.ts";
import type { Clock } from "../../runtime/time/clock.ts";
import type { ShareSettings } from "../connections/share-settings.ts";
import {
  kindShape,
  parseEndpoints,
  parseIdentity,
  parseJournalEntry,
  parseMount,
  parseName,
  parseNumber,
  routeShape,
} from "../control/control-messages.ts";
import type { JournalEntry } from "../relay.ts";

export const JOURNAL_AT_MOST = 200;

export interface RelayState {
  readonly shares: readonly ShareSettings[];
  readonly journal: readonly JournalEntry[];
  /** The shell that holds the ports; null: none. */
  readonly keeper: ProcessIdentity | null;
}

export type RelayStateFile = ReturnType<typeof createRelayStateFile>;

export function statePath(folder: string): string {
  return join(folder, "state.json");
}

export function createRelayStateFile(folder: string, clock: Clock, logger: Logger) {
  const path = statePath(folder);
  let newest = EMPTY;
  const file = createDurableValue({
    path,
    clock,
    content: () => serialize(newest),
    onUnsaved: ({ message }) => logger.error("the relay's state cannot be saved", { path, error: message }),
    onSavedAgain: () => {},
  });
  return {
    /** Empty if there is no file; unreadable entries are left out. */
    async read(): Promise<RelayState> {
      await removeLeftovers(path).catch(() => {});
      const content = await readIfPresent(path);
      return content === null ? EMPTY : parseMemory(content);
    },
    /**
     * Resolves once `memory` or a newer state is on disk. Also resolves after a failed write, which is repeated
     * later.
     */
    async write(memory: RelayState): Promise<void> {
      newest = memory;
      await file.save();
    },
  };
}

const EMPTY: RelayState = { shares: [], journal: [], keeper: null };

function serialize({ shares, journal, keeper }: RelayState): string {
  return `${JSON.stringify({ version: 1, shares, journal, keeper }, null, 1)}\n`;
}

export function parseMemory(content: string): RelayState {
  const { shares, journal, keeper } = jsonObject(content) ?? {};
  return {
    shares: listOf(shares, parseSettings),
    journal: listOf(journal, parseJournalEntry),
    keeper: parseIdentity(keeper),
  };
}

function listOf<T>(value: unknown, parse: (one: unknown) => T | null): T[] {
  if (!Array.isArray(value)) return [];
  return value.map(parse).filter((one) => one !== null);
}

const settingsOf = reader(
  object({ share: text, kind: kindShape, port: number, route: routeShape, patienceMs: number }),
);

function parseSettings(value: unknown): ShareSettings | null {
  const settings = settingsOf(value);
  if (settings === null || !isObject(value)) return null;
  const { guid, confirmed } = value;
  return {
    ...settings,
    endpoints: parseEndpoints(value["endpoints"]),
    mount: parseMount(value["mount"]),
    guid: typeof guid === "string" ? guid : null,
    confirmed: confirmed !== false,
    server: parseName(value["server"]),
    epoch: parseNumber(value["epoch"]) ?? 0,
    login: parseName(value["login"]),
    wantsUser: value["wantsUser"] === true,
    refusedLogon: parseName(value["refusedLogon"]),
    away: value["away"] === true,
  };
}
