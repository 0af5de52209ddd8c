// The shapes of what is told of a fleet: several machines that know of each other.

import {
  choice,
  count,
  flag,
  list,
  nullable,
  object,
  optional,
  type TypeOf,
  text,
} from "../runtime/shape.ts";
import { conditionShape } from "./contract.ts";

/** How it is, as that machine says it to people; absent: an earlier version of Mountaineer. */
const words = optional(object({ text, tone: choice("good", "plain", "warning", "bad") }));

const fleetShareShape = object({
  name: text,
  phase: text,
  /** `tb`, `fallback` or `none`. */
  route: text,
  /** Why it is not as it should be; null when there is nothing to say. */
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

/** What became of the fleet's configuration on a machine. */
export const machineLayerShape = object({
  /** The revision under its own file; null: none is. */
  revision: nullable(count),
  /** What it does not take, and why; null: there is nothing of that kind. */
  refused: nullable(
    object({
      /** null: of what stands there nothing can be believed. */
      revision: nullable(count),
      reason: text,
    }),
  ),
  /** SHA-256 of the authority that the fleet's server is about to have, in hex; absent: it knows of none. */
  authority: optional(text),
});
export type MachineLayer = TypeOf<typeof machineLayerShape>;

/** What a machine tells of itself. Its texts are its own: show them as a stranger's. */
export const machineStateShape = object({
  version: text,
  shares: list(fleetShareShape),
  backends: list(fleetBackendShape),
  conditions: list(fleetConditionShape),
  /** Shares, backends and conditions that were too many to tell. */
  cut: count,
  /** Absent: an earlier version of Mountaineer, which takes none. */
  layer: optional(machineLayerShape),
});
export type MachineState = TypeOf<typeof machineStateShape>;

const fleetMachineShape = object({
  name: text,
  /** The one that answers. */
  own: flag,
  /**
   * `here`: heard within 30 s; `silent`: not for longer; `gone`: it said farewell; `unheard`: known from what it told
   * before, and this daemon has not listened for long enough to judge; `unreadable`: what it tells cannot be read.
   */
  presence: choice("here", "silent", "gone", "unheard", "unreadable"),
  /** By this daemon's own clock; null: it has not heard it yet. */
  heard_secs_ago: nullable(count),
  /** What is wrong with what it tells. */
  problem: nullable(text),
  /** null: nothing of it can be read. */
  state: nullable(machineStateShape),
});
export type FleetMachine = TypeOf<typeof fleetMachineShape>;

export const fleetReportShape = object({
  /** What this machine is called there. */
  name: text,
  link: object({
    state: choice("connected", "away"),
    /** The address in use, or tried last. */
    server: nullable(text),
    since: text,
    /** Why it is away; null: it is not, or the first attempt is under way. */
    last_error: nullable(text),
    hint: nullable(text),
  }),
  /** This machine first, the others by name. */
  machines: list(fleetMachineShape),
  /** Machines that were too many to keep. */
  more: count,
  conditions: list(conditionShape),
});
export type FleetReport = TypeOf<typeof fleetReportShape>;

/** One revision of the fleet's configuration, as it is kept in the fleet. */
export const fleetLayerEntryShape = object({
  /** null: it counts for nothing, and `problem` says why. */
  revision: nullable(count),
  /** ISO 8601 UTC, by the clock of who signed it. */
  time: nullable(text),
  /** The machine where it was signed. */
  by: nullable(text),
  problem: nullable(text),
  /** By which the server counts. */
  sequence: count,
});
export type FleetLayerEntry = TypeOf<typeof fleetLayerEntryShape>;

export const fleetLayerReportShape = object({
  /** `U…`: whose word counts; null: nobody's, so that none is taken. */
  operator: nullable(text),
  /** `U…`, as this machine's own file has it: that key has gone over to `operator` where they differ. */
  line: optional(nullable(text)),
  /** The newest that this machine has accepted; 0: none. */
  accepted: count,
  /** null: the fleet has none. */
  newest: nullable(fleetLayerEntryShape),
  /** Its text; null as `newest` or its revision. */
  text: nullable(text),
});
export type FleetLayerReport = TypeOf<typeof fleetLayerReportShape>;

const fleetPermissionShape = object({
  may: choice("publish", "subscribe"),
  subject: text,
  purpose: text,
});

/** What a machine's server permits, whose word counts there, and what runs out. */
export const fleetCheckShape = object({
  /** What it needs, and may not. */
  lacks: list(fleetPermissionShape),
  /** What it may, and should not: a machine that lies could. */
  exceeds: list(fleetPermissionShape),
  /** null: the file names none. */
  operator: nullable(
    object({
      /** `U…`, as the file has it. */
      line: text,
      /** `U…`: whose word counts. */
      current: text,
      /** The place of the handover to it among all of the fleet, and when it was signed; null: it is `line`. */
      number: nullable(count),
      since: nullable(text),
    }),
  ),
  /** Keys whose exchange was cut off, or waits for the server. */
  pending: list(choice("machine", "operator")),
  /** Until when the server's authority is good, as this machine knows it; null: it names none. */
  authority_until: nullable(text),
  /** Until when the server's certificate is; null: the server is not here. */
  server_until: nullable(text),
});
export type FleetCheckReport = TypeOf<typeof fleetCheckShape>;
