// The shapes of what is told of a fleet: several machines that know of each other.
import { conditionShape } from "./contract.ts";
import { choice, count, flag, list, nullable, object, type TypeOf, text } from "./shape.ts";

const fleetShareShape = object({
  name: text,
  phase: text,
  /** `tb`, `fallback` or `none`. */
  route: text,
  /** Why it is not as it should be; null when there is nothing to say. */
  reason: nullable(text),
});

const fleetBackendShape = object({
  name: text,
  phase: text,
  tools: count,
  reason: nullable(text),
});

const fleetConditionShape = object({
  code: text,
  severity: choice("info", "warning", "error"),
  title: text,
});

/** What a machine tells of itself. Its texts are its own: show them as a stranger's. */
export const machineStateShape = object({
  version: text,
  shares: list(fleetShareShape),
  backends: list(fleetBackendShape),
  conditions: list(fleetConditionShape),
  /** Shares, backends and conditions that were too many to tell. */
  cut: count,
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
