// Owns the spelling of state.json, format version 1: what is written, and what can be made of what is found.
import { z } from "zod";
import { isoTime } from "../runtime/clock.ts";
import { errorText } from "../runtime/errors.ts";
import type { ShareMemory } from "./memory.ts";

const VERSION = 1;

export interface LostShare {
  readonly share: string;
  readonly reason: string;
}

export type DecodedState =
  | {
      readonly kind: "whole";
      readonly shares: ReadonlyMap<string, ShareMemory>;
      readonly observedAt: number | null;
    }
  | {
      readonly kind: "corrupt";
      readonly reason: string;
      /** The records that are whole all the same. */
      readonly shares: ReadonlyMap<string, ShareMemory>;
      readonly lost: readonly LostShare[];
      readonly observedAt: number | null;
    }
  | { readonly kind: "newer"; readonly version: number };

const isoDate = z.iso.datetime().transform((text) => Date.parse(text));

const shareRecord = z.object({
  active_interface: z.enum(["tb", "fallback", "none"]),
  tb_reachable_since: isoDate.nullable(),
  tb_healthy_since: isoDate.nullable(),
  tb_recovery_pending: z.boolean(),
  held: z.enum(["fallback", "unmounted"]).nullable(),
  last_switch_at: isoDate.nullable(),
  last_error: z.string().nullable(),
});

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

function encodeShare(memory: ShareMemory): z.input<typeof shareRecord> {
  return {
    active_interface: memory.activeInterface,
    tb_reachable_since: isoOrNull(memory.tbReachableSince),
    tb_healthy_since: isoOrNull(memory.tbHealthySince),
    tb_recovery_pending: memory.tbRecoveryPending,
    held: memory.held,
    last_switch_at: isoOrNull(memory.lastSwitchAt),
    last_error: memory.lastError,
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

  const observedAt = isoDate.safeParse(file.get("observed_at"));
  const records = fieldsOf(file.get("shares"));
  const shares = new Map<string, ShareMemory>();
  const lost: LostShare[] = [];
  for (const [name, record] of records ?? []) {
    const decoded = shareRecord.safeParse(record);
    if (decoded.success) shares.set(name, decodeShare(decoded.data));
    else lost.push({ share: name, reason: issuesText(decoded.error) });
  }
  const reason =
    version !== VERSION
      ? `its version is ${JSON.stringify(version) ?? "missing"}`
      : !observedAt.success
        ? `observed_at: ${issuesText(observedAt.error)}`
        : records === null
          ? "shares: no object"
          : lost.length > 0
            ? "not all records of shares are well-formed"
            : null;
  const at = observedAt.data ?? null;
  if (reason === null) return { kind: "whole", shares, observedAt: at };
  return { kind: "corrupt", reason, shares, lost, observedAt: at };
}

/** null for what is no object. Not zod's record, which leaves out "__proto__". */
function fieldsOf(value: unknown): ReadonlyMap<string, unknown> | null {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return null;
  return new Map(Object.entries(value));
}

function decodeShare(record: z.output<typeof shareRecord>): ShareMemory {
  return {
    activeInterface: record.active_interface,
    tbReachableSince: record.tb_reachable_since,
    tbHealthySince: record.tb_healthy_since,
    tbRecoveryPending: record.tb_recovery_pending,
    held: record.held,
    lastSwitchAt: record.last_switch_at,
    lastError: record.last_error,
  };
}

function corrupt(reason: string): DecodedState {
  return { kind: "corrupt", reason, shares: new Map(), lost: [], observedAt: null };
}

function issuesText(error: z.ZodError): string {
  return error.issues.map((issue) => [...issue.path.map(String), issue.message].join(": ")).join("; ");
}

function isoOrNull(wallMs: number | null): string | null {
  return wallMs === null ? null : isoTime(wallMs);
}
