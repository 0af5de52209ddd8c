// A sample report of a fleet for tests of the API, the command line and the doctor.
import type { FleetMachine, FleetReport, MachineState } from "../../src/api/contract/fleet.ts";
import { secondsAgo } from "./sample-report.ts";

export const OVER_TB = { text: "mounted over Thunderbolt", tone: "good" } as const;
export const NOT_MOUNTED = { text: "not mounted", tone: "bad" } as const;
export const READY = { text: "Ready", tone: "good" } as const;

export function sampleMachineState(changes: Partial<MachineState> = {}): MachineState {
  return {
    version: "0.1.0",
    shares: [{ name: "CORE", phase: "mounted", route: "tb", reason: null, words: OVER_TB }],
    backends: [{ name: "files", phase: "Ready", tools: 12, reason: null, words: READY }],
    conditions: [],
    cut: 0,
    ...changes,
  };
}

export function sampleMachine(changes: Partial<FleetMachine> = {}): FleetMachine {
  return {
    name: "desktop",
    own: false,
    presence: "here",
    heard_secs_ago: 4,
    problem: null,
    state: sampleMachineState(),
    ...changes,
  };
}

/** Of a laptop that knows of one machine of each kind. */
export function sampleFleet(changes: Partial<FleetReport> = {}): FleetReport {
  return {
    name: "laptop",
    link: {
      state: "connected",
      server: "tls://nas.example:4222",
      since: secondsAgo(180),
      last_error: null,
      hint: null,
    },
    machines: [
      sampleMachine({ name: "laptop", own: true, heard_secs_ago: 0 }),
      sampleMachine(),
      sampleMachine({
        name: "nas",
        presence: "silent",
        heard_secs_ago: 95,
        state: sampleMachineState({
          shares: [
            { name: "CORE", phase: "error", route: "none", reason: "no host answers", words: NOT_MOUNTED },
          ],
          conditions: [
            { code: "state_not_saved", severity: "warning", title: "state.json cannot be written" },
          ],
          cut: 2,
        }),
      }),
      sampleMachine({
        name: "phone",
        presence: "unreadable",
        problem: "it is not a JSON object",
        state: null,
      }),
    ],
    more: 0,
    conditions: [],
    ...changes,
  };
}
