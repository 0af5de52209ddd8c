// The format of state.json, version 1: writes the file, and reads any text.

import { errorText } from "../runtime/errors.ts";
import {
  choice,
  flag,
  list,
  nullable,
  object,
  optional,
  type TypeOf,
  text,
  textThat,
} from "../runtime/shape.ts";
import { parseJson } from "../runtime/text/parse-json.ts";
import { isoTime, isoTimeOrNull } from "../runtime/time/clock.ts";
import type { ShareMemory } from "./state-store.ts";

const VERSION = 1;

interface LostShare {
  readonly share: string;
  readonly reason: string;
}

type DecodedState =
  | {
      readonly kind: "whole";
      readonly shares: ReadonlyMap<string, ShareMemory>;
      readonly observedAt: number | null;
    }
  | {
      readonly kind: "corrupt";
      readonly reason: string;
      /** The intact records. */
      readonly shares: ReadonlyMap<string, ShareMemory>;
      readonly lost: readonly LostShare[];
      readonly observedAt: number | null;
    }
  | { readonly kind: "newer"; readonly version: number };

const ISO_INSTANT = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$/;
const isInstant = (text: string): boolean => ISO_INSTANT.test(text) && !Number.isNaN(Date.parse(text));
const instant = textThat("a time in ISO 8601", isInstant);

const recordShape = object({
  active_interface: choice("tb", "fallback", "none"),
  tb_reachable_since: nullable(instant),
  tb_healthy_since: nullable(instant),
  tb_recovery_pending: flag,
  held: nullable(choice("fallback", "unmounted")),
  last_switch_at: nullable(instant),
  last_error: nullable(text),
  wake_addresses: optional(list(text)),
  proved_networks: optional(list(text)),
});
type ShareRecord = TypeOf<typeof recordShape>;

export function encodeState(shares: ReadonlyMap<string, ShareMemory>, observedAtMs: number): string {
  const records = [...shares].map(([name, memory]) => [name, encodeShare(memory)] as const);
  const state = {
    version: VERSION,
    observed_at: isoTime(observedAtMs),
    // Object.fromEntries also accepts a share named "__proto__".
    shares: Object.fromEntries(records),
  };
  return `${JSON.stringify(state, null, 2)}\n`;
}

function encodeShare(memory: ShareMemory): ShareRecord {
  return {
    active_interface: memory.activeInterface,
    tb_reachable_since: isoTimeOrNull(memory.tbReachableSince),
    tb_healthy_since: isoTimeOrNull(memory.tbHealthySince),
    tb_recovery_pending: memory.tbRecoveryPending,
    held: memory.override,
    last_switch_at: isoTimeOrNull(memory.lastSwitchAt),
    last_error: memory.lastError,
    ...((memory.wakeAddresses ?? []).length === 0
      ? {}
      : { wake_addresses: [...(memory.wakeAddresses ?? [])] }),
    ...((memory.provedNetworks ?? []).length === 0
      ? {}
      : { proved_networks: [...(memory.provedNetworks ?? [])] }),
  };
}

/** Never throws, whatever the text. */
export function decodeState(content: string): DecodedState {
  let value: unknown;
  try {
    value = parseJson(content);
  } catch (error) {
    return corrupt(content.trim() === "" ? "it is empty" : errorText(error));
  }
  const file = fieldsOf(value);
  if (file === null) return corrupt("it is not a JSON object");
  const version = file.get("version");
  if (typeof version === "number" && version > VERSION) return { kind: "newer", version };

  const seenAt = file.get("observed_at");
  const observedAt = instant.faultIn(seenAt) === null ? Date.parse(String(seenAt)) : null;
  const records = fieldsOf(file.get("shares"));
  const shares = new Map<string, ShareMemory>();
  const lost: LostShare[] = [];
  for (const [name, record] of records ?? []) {
    const decoded = decodeShare(record);
    if (typeof decoded === "string") lost.push({ share: name, reason: decoded });
    else shares.set(name, decoded);
  }
  const [reason] = [
    ...(version === VERSION ? [] : [`its version is ${JSON.stringify(version) ?? "missing"}`]),
    ...(observedAt === null ? ["observed_at: no time in ISO 8601"] : []),
    ...(records === null ? ["shares: no object"] : []),
    ...(lost.length > 0 ? ["not all records of shares are well-formed"] : []),
  ];
  if (reason === undefined) return { kind: "whole", shares, observedAt };
  return { kind: "corrupt", reason, shares, lost, observedAt };
}

/** The members of an object, also one named "__proto__"; null if `value` is not an object. */
function fieldsOf(value: unknown): ReadonlyMap<string, unknown> | null {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return null;
  return new Map(Object.entries(value));
}

/** The record as `ShareMemory`, or its fault. */
function decodeShare(value: unknown): ShareMemory | string {
  const fault = recordShape.faultIn(value);
  if (fault !== null) return `${fault.path} is not ${fault.expected}`;
  // `faultIn` has checked the shape.
  const record = value as ShareRecord;
  const { wake_addresses, proved_networks } = record;
  return {
    activeInterface: record.active_interface,
    tbReachableSince: wallOrNull(record.tb_reachable_since),
    tbHealthySince: wallOrNull(record.tb_healthy_since),
    tbRecoveryPending: record.tb_recovery_pending,
    override: record.held,
    lastSwitchAt: wallOrNull(record.last_switch_at),
    lastError: record.last_error,
    ...(wake_addresses === undefined ? {} : { wakeAddresses: wake_addresses }),
    ...(proved_networks === undefined ? {} : { provedNetworks: proved_networks }),
  };
}

function wallOrNull(time: string | null): number | null {
  return time === null ? null : Date.parse(time);
}

function corrupt(reason: string): DecodedState {
  return { kind: "corrupt", reason, shares: new Map(), lost: [], observedAt: null };
}
