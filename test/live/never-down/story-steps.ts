// The edits of the story that never goes down: those of the gateway's own story, limits and metrics, and files that no
// daemon accepts. All of them from one seed, for whoever they are played on.

import { pick, randomFrom } from "../../lab/random.ts";
import type { GatewaySections } from "../../mcp/gateway-rig.ts";
import { changeConfig, firstConfig } from "../gateway-edits.ts";
import { CLIENTS, type Client, OWNER, sectionsOf, seenBy } from "../gateway-model.ts";

const BACKENDS = 8;
/** Each session then has a process of it: one such backend is enough. */
const MOST_PER_CLIENT = 1;

export type Viewer = Client | typeof OWNER;
const VIEWERS: readonly Viewer[] = [...CLIENTS, OWNER];
/** What the load calls. */
const CALLED = ["note"];

export type StepConfig = ReturnType<typeof firstStepConfig>;

export interface Step {
  /** A word for what it changes: `add`, `limits`, `invalid` … */
  readonly kind: string;
  readonly label: string;
  readonly before: StepConfig;
  readonly after: StepConfig;
  /** What makes the file one that is refused; null: it is sound. */
  readonly spoil: ((text: string) => string) | null;
}

export function firstStepConfig(seed: number) {
  const story = firstConfig(BACKENDS, randomFrom(seed));
  return { story, callsInFlight: 512, resultMb: 16, metrics: false };
}

/** The same for the same seed. */
export function stepsFrom(seed: number, steps: number): readonly Step[] {
  const random = randomFrom(seed + 1);
  const made: Step[] = [];
  let before = firstStepConfig(seed);
  while (made.length < steps) {
    const step = stepFrom(before, random, made.at(-1)?.spoil != null);
    if (step === null) continue;
    made.push(step);
    before = step.after;
  }
  return made;
}

/** Null: the load could call nothing, or too many servers have a process for each client. */
function stepFrom(before: StepConfig, random: () => number, wasSpoiled: boolean): Step | null {
  const drawn = random();
  // The step after a refused file mends it, and its own change must then be seen.
  if (drawn < 0.08 && !wasSpoiled) {
    const [what, spoil] = pick(random, SPOILS);
    return { kind: "invalid", label: `invalid: ${what}`, before, after: before, spoil };
  }
  if (drawn < 0.2) {
    const [kind, change] = pick(random, SETTINGS);
    return { kind, label: kind, before, after: { ...before, ...change(before, random) }, spoil: null };
  }
  const { label, config } = changeConfig(before.story, random);
  const after = { ...before, story: config };
  const perClient = config.backends.filter((backend) => backend.perClient && backend.enabled).length;
  const isCallable = VIEWERS.every((viewer) => common(before, after).get(viewer)?.length !== 0);
  if (perClient > MOST_PER_CLIENT || !isCallable) return null;
  return { kind: label.replace(/ b\d+$/u, "").replace(/:.*$/u, ""), label, before, after, spoil: null };
}

const SETTINGS: readonly (readonly [
  string,
  (before: StepConfig, random: () => number) => Partial<StepConfig>,
])[] = [
  ["limits", (_, random) => ({ callsInFlight: pick(random, [128, 256, 512, 1_024]) })],
  ["result limit", (_, random) => ({ resultMb: pick(random, [0, 1, 16]) })],
  ["metrics", ({ metrics }) => ({ metrics: !metrics })],
];

const SPOILS: readonly (readonly [string, (text: string) => string])[] = [
  ["a section that is not there", (text) => `${text}\n[nothing]\nx = 1\n`],
  ["a value of another type", (text) => text.replace(/^"port" = .*$/mu, '"port" = "soon"')],
  ["a text without its end", (text) => `${text}\n[global]\nshares_root = "/tmp\n`],
];

export function stepSections({ story, callsInFlight, resultMb, metrics }: StepConfig): GatewaySections {
  const sections = sectionsOf(story);
  return {
    ...sections,
    more: {
      ...sections.more,
      limits: { calls_per_second: 0, calls_in_flight: callsInFlight, result_mb: resultMb },
      telemetry: { prometheus: metrics },
    },
  };
}

/** By viewer: the names under which the load's tool is the same backend's in both. */
export function common(before: StepConfig, after: StepConfig): ReadonlyMap<Viewer, readonly string[]> {
  return new Map(
    VIEWERS.map((viewer) => {
      const [was, is] = [before, after].map(({ story }) => seenBy(story, viewer, CALLED));
      const names = [...(was ?? [])].filter(([name, { backend }]) => is?.get(name)?.backend === backend);
      return [viewer, names.map(([name]) => name)];
    }),
  );
}

/** Names of all tools that a viewer is to see, sorted. */
export function toolsSeen({ story }: StepConfig, viewer: Viewer, bare: readonly string[]): readonly string[] {
  return [...seenBy(story, viewer, bare).keys()].toSorted();
}
