// The format of state.json, version 1: writes it, and reads any text.

import { errorText } from "../runtime/errors.ts";
import { isoTime } from "../runtime/time/clock.ts";
import type { ShareMemory } from "./memory.ts";

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
      /** The records that are intact all the same. */
      readonly shares: ReadonlyMap<string, ShareMemory>;
      readonly lost: readonly LostShare[];
      readonly observedAt: number | null;
    }
  | { readonly kind: "newer"; readonly version: number };

interface ShareRecord {
  active_interface: ShareMemory["activeInterface"];
  tb_reachable_since: string | null;
  tb_healthy_since: string | null;
  tb_recovery_pending: boolean;
  held: ShareMemory["held"];
  last_switch_at: string | null;
  last_error: string | null;
  /** Absent in files of versions before carried mounts. */
  carried_port?: number | null;
  /** Absent where there are none. */
  logons_refused_at?: readonly string[];
  wake_addresses?: readonly string[];
}

export function encodeState(shares: ReadonlyMap<string, ShareMemory>, observedAtMs: number): string {
  const records = [...shares].map(([name, memory]) => [name, encodeShare(memory)] as const);
  const state = {
    version: VERSION,
    observed_at: isoTime(observedAtMs),
    // Not by assignment: a share may be called "__proto__".
    shares: Object.fromEntries(records),
  };
  return `${JSON.stringify(state, null, 2)}\n`;
}

function encodeShare(memory: ShareMemory): ShareRecord {
  return {
    active_interface: memory.activeInterface,
    tb_reachable_since: isoOrNull(memory.tbReachableSince),
    tb_healthy_since: isoOrNull(memory.tbHealthySince),
    tb_recovery_pending: memory.tbRecoveryPending,
    held: memory.held,
    last_switch_at: isoOrNull(memory.lastSwitchAt),
    last_error: memory.lastError,
    carried_port: memory.carriedPort,
    ...(memory.logonsRefusedAt.length === 0
      ? {}
      : { logons_refused_at: memory.logonsRefusedAt.map(isoTime) }),
    ...((memory.wakeAddresses ?? []).length === 0 ? {} : { wake_addresses: memory.wakeAddresses ?? [] }),
  };
}

/** Never throws: whatever the text, it is one of the three kinds. */
export function decodeState(text: string): DecodedState {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    return corrupt(text.trim() === "" ? "it is empty" : errorText(error));
  }
  const file = fieldsOf(value);
  if (file === null) return corrupt("it is no JSON object");
  const version = file.get("version");
  if (typeof version === "number" && version > VERSION) return { kind: "newer", version };

  const observedAt = instant(file.get("observed_at"));
  const records = fieldsOf(file.get("shares"));
  const shares = new Map<string, ShareMemory>();
  const lost: LostShare[] = [];
  for (const [name, record] of records ?? []) {
    const decoded = decodeShare(record);
    if (typeof decoded === "string") lost.push({ share: name, reason: decoded });
    else shares.set(name, decoded);
  }
  const reason =
    version !== VERSION
      ? `its version is ${JSON.stringify(version) ?? "missing"}`
      : observedAt === undefined
        ? "observed_at: no time in ISO 8601"
        : records === null
          ? "shares: no object"
          : lost.length > 0
            ? "not all records of shares are well-formed"
            : null;
  const at = observedAt ?? null;
  if (reason === null) return { kind: "whole", shares, observedAt: at };
  return { kind: "corrupt", reason, shares, lost, observedAt: at };
}

/** null if it is not an object. Not zod's record, which leaves out "__proto__". */
function fieldsOf(value: unknown): ReadonlyMap<string, unknown> | null {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return null;
  return new Map(Object.entries(value));
}

/** The record in the engine's form, or which of its fields are wrong. */
function decodeShare(value: unknown): ShareMemory | string {
  const record = fieldsOf(value);
  if (record === null) return "no object";
  const wrong: string[] = [];
  const read = <T>(field: keyof ShareRecord, reader: (value: unknown) => T | undefined, otherwise: T): T => {
    const found = reader(record.get(field));
    if (found === undefined) wrong.push(field);
    return found ?? otherwise;
  };
  const memory: ShareMemory = {
    activeInterface: read("active_interface", oneOf("tb", "fallback", "none"), "none"),
    tbReachableSince: read("tb_reachable_since", orNull(instant), null),
    tbHealthySince: read("tb_healthy_since", orNull(instant), null),
    tbRecoveryPending: read("tb_recovery_pending", boolean, false),
    held: read("held", orNull(oneOf("fallback", "unmounted")), null),
    lastSwitchAt: read("last_switch_at", orNull(instant), null),
    lastError: read("last_error", orNull(string), null),
    carriedPort: record.has("carried_port") ? read("carried_port", orNull(port), null) : null,
    logonsRefusedAt: record.has("logons_refused_at") ? read("logons_refused_at", instants, []) : [],
    ...(record.has("wake_addresses") ? { wakeAddresses: read("wake_addresses", wakeAddresses, []) } : {}),
  };
  return wrong.length === 0 ? memory : `${wrong.join(", ")} not as expected`;
}

/** A reader returns undefined if the value is not of its kind. */
type Reader<T> = (value: unknown) => T | undefined;

const string: Reader<string> = (value) => (typeof value === "string" ? value : undefined);

const port: Reader<number> = (value) =>
  typeof value === "number" && Number.isInteger(value) && value > 0 && value < 65_536 ? value : undefined;

const boolean: Reader<boolean> = (value) => (typeof value === "boolean" ? value : undefined);

const ISO_INSTANT = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$/;

const instant: Reader<number> = (value) => {
  if (typeof value !== "string" || !ISO_INSTANT.test(value)) return undefined;
  const wallMs = Date.parse(value);
  return Number.isNaN(wallMs) ? undefined : wallMs;
};

const instants: Reader<readonly number[]> = (value) => {
  const times = Array.isArray(value) ? value.map(instant) : [undefined];
  return times.some((time) => time === undefined) ? undefined : times.flatMap((time) => time ?? []);
};

const wakeAddresses: Reader<readonly string[]> = (value) =>
  Array.isArray(value) && value.every((one) => typeof one === "string") ? value : undefined;

function oneOf<const T extends string>(...words: readonly T[]): Reader<T> {
  return (value) => words.find((word) => word === value);
}

function orNull<T>(reader: Reader<T>): Reader<T | null> {
  return (value) => (value === null ? null : reader(value));
}

function corrupt(reason: string): DecodedState {
  return { kind: "corrupt", reason, shares: new Map(), lost: [], observedAt: null };
}

function isoOrNull(wallMs: number | null): string | null {
  return wallMs === null ? null : isoTime(wallMs);
}
