// Shapes of answers about a fleet: several machines that publish their state to each other.

import { choice, count, flag, list, nullable, object, type TypeOf, text } from "../../runtime/shape.ts";
import { conditionShape } from "./contract.ts";

/** The state in the machine's own words. */
const words = object({ text, tone: choice("good", "plain", "warning", "bad") });

const fleetShareShape = object({
  name: text,
  phase: text,
  /** `tb`, `fallback` or `none`. */
  route: text,
  reason: nullable(text),
  words,
});

const fleetBackendShape = object({
  name: text,
  phase: text,
  tools: count,
  reason: nullable(text),
  words,
});

const fleetConditionShape = object({
  code: text,
  severity: choice("info", "warning", "error"),
  title: text,
});

/** The state that a machine publishes. Its texts are untrusted: pass them through `harmless`. */
export const machineStateShape = object({
  version: text,
  shares: list(fleetShareShape),
  backends: list(fleetBackendShape),
  conditions: list(fleetConditionShape),
  /** Number of shares, backends and conditions that were cut off. */
  cut: count,
});
export type MachineState = TypeOf<typeof machineStateShape>;

const fleetMachineShape = object({
  name: text,
  /** True for the machine that answers. */
  own: flag,
  /**
   * `here`: heard from within 30 s; `silent`: not heard from for longer than that; `gone`: it stopped in
   * order; `unheard`: known from earlier messages, and this daemon has not listened long enough to judge;
   * `unreadable`: its messages cannot be read.
   */
  presence: choice("here", "silent", "gone", "unheard", "unreadable"),
  /** Seconds since this daemon last heard from the machine; null: not heard yet. */
  heard_secs_ago: nullable(count),
  /** Why the machine's messages cannot be read; null: they can be read. */
  problem: nullable(text),
  /** null: its state cannot be read. */
  state: nullable(machineStateShape),
});
export type FleetMachine = TypeOf<typeof fleetMachineShape>;

export const fleetReportShape = object({
  /** This machine's name in the fleet. */
  name: text,
  link: object({
    state: choice("connected", "away"),
    /** The server's address in use, or the last one tried. */
    server: nullable(text),
    since: text,
    /** Why the link is down; null: it is up, or the first attempt is under way. */
    last_error: nullable(text),
    hint: nullable(text),
  }),
  /** This machine first, the others by name. */
  machines: list(fleetMachineShape),
  /** Number of machines that are not listed because a limit was reached. */
  more: count,
  conditions: list(conditionShape),
});
export type FleetReport = TypeOf<typeof fleetReportShape>;

const fleetPermissionShape = object({
  may: choice("publish", "subscribe"),
  subject: text,
  purpose: text,
});

/** Permissions of this machine on the fleet's server, and expiry dates. */
export const fleetCheckShape = object({
  lacks: list(fleetPermissionShape),
  /** Excess permissions: with them a malicious machine could impersonate others. */
  exceeds: list(fleetPermissionShape),
  /** When the server's certificate authority expires; null: this machine knows none. */
  authority_until: nullable(text),
});
export type FleetCheckReport = TypeOf<typeof fleetCheckShape>;
