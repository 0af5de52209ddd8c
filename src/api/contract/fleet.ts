// Shapes of answers about a fleet: several machines that publish their state to each other.

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
} from "../../runtime/shape.ts";
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

/** How a machine applies the fleet's configuration. */
export const machineLayerShape = object({
  /** The applied revision; null: none. */
  revision: nullable(count),
  /** The refused revision, and why; null: none is refused. */
  refused: nullable(
    object({
      /** null: the revision's number is not trustworthy. */
      revision: nullable(count),
      reason: text,
    }),
  ),
});
export type MachineLayer = TypeOf<typeof machineLayerShape>;

/** The state that a machine publishes. Its texts are untrusted: pass them through `harmless`. */
export const machineStateShape = object({
  version: text,
  shares: list(fleetShareShape),
  backends: list(fleetBackendShape),
  conditions: list(fleetConditionShape),
  /** Number of shares, backends and conditions that were cut off. */
  cut: count,
  /** Absent: the machine applies no layer. */
  layer: optional(machineLayerShape),
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

/** One stored revision of the fleet's configuration. */
export const fleetLayerEntryShape = object({
  /** null: the revision is not valid, see `problem`. */
  revision: nullable(count),
  /** By the signing machine's clock. */
  time: nullable(text),
  /** The machine where the revision was signed. */
  by: nullable(text),
  problem: nullable(text),
  /** The sequence number that the NATS server gave this entry. */
  sequence: count,
});
export type FleetLayerEntry = TypeOf<typeof fleetLayerEntryShape>;

export const fleetLayerReportShape = object({
  /** The operator's public key, `U…`; null: without one no revision is accepted. */
  operator: nullable(text),
  /**
   * The operator's key in this machine's file. If `operator` is another key, handovers have replaced the key in the
   * file.
   */
  line: optional(nullable(text)),
  /** The newest revision that this machine has accepted; 0: none. */
  accepted: count,
  /** The newest stored revision; null: the fleet has none. */
  newest: nullable(fleetLayerEntryShape),
  /** The newest revision's text; null without a valid one. */
  text: nullable(text),
});
export type FleetLayerReport = TypeOf<typeof fleetLayerReportShape>;

const fleetPermissionShape = object({
  may: choice("publish", "subscribe"),
  subject: text,
  purpose: text,
});

/** Permissions of this machine on the fleet's server, the operator's key, and expiry dates. */
export const fleetCheckShape = object({
  lacks: list(fleetPermissionShape),
  /** Excess permissions: with them a malicious machine could impersonate others. */
  exceeds: list(fleetPermissionShape),
  /**
   * The operator's key in this machine's file, and the key that is valid now; null: the file names no key.
   */
  operator: nullable(
    object({
      /** The key in the file, `U…`. */
      line: text,
      /** The valid key, `U…`. */
      current: text,
      /** The number and the time of the handover that made `current` valid; null: `current` is `line`. */
      number: nullable(count),
      since: nullable(text),
    }),
  ),
  /** Keys whose replacement has begun and is not finished. */
  pending: list(choice("machine", "operator")),
  /** When the server's certificate authority expires; null: this machine knows none. */
  authority_until: nullable(text),
  /** When the server's certificate expires; null: the server runs elsewhere. */
  server_until: nullable(text),
});
export type FleetCheckReport = TypeOf<typeof fleetCheckShape>;
