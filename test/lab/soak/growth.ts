// How memory and descriptors of each of our processes grow while it lives, looked at in calm moments.
import { pssMb, rssMb } from "../../../bench/processes.ts";
import { processIdentity } from "../../../src/runtime/process/process-identity.ts";
import { openedBy } from "../../support/descriptors.ts";
import type { Ledger } from "./promises.ts";
import { GATEWAY_PORT } from "./soak-world.ts";

interface Sample {
  readonly atMinutes: number;
  readonly mb: number;
  readonly rssMb: number;
  readonly descriptors: number;
  /** Connections that clients keep: as many as they had calls at once, until a while after. Not ours to end. */
  readonly clients: number;
}

/** Until what is loaded and compiled once has been. */
const WARM_UP_MINUTES = 0.75;
/** Fewer looks say nothing. */
const LEAST_SAMPLES = 3;
/**
 * What a process may have more at its end than after its warm-up. A short life shows noise: a daemon grows to its working
 * size over hundreds of failovers, and connections come and go. What leaks 1 a minute has 60 more in an hour.
 */
const MOST_MB = 40;
const MOST_DESCRIPTORS = 40;

export type Growth = ReturnType<typeof createGrowth>;

export function createGrowth() {
  const startedAt = performance.now();
  /** By pid and start, as the system gives a pid again. */
  const seen = new Map<string, { readonly role: string; readonly samples: Sample[] }>();
  let last: { readonly pid: number; readonly role: string; readonly sample: Sample }[] = [];
  return {
    async look(pids: ReadonlyMap<number, string>) {
      last = [];
      for (const [pid, role] of pids) {
        const life = `${pid} ${(await processIdentity(pid))?.startTime}`;
        const sample = await sampleOf(pid, (performance.now() - startedAt) / 60_000);
        if (sample === null) continue;
        const known = seen.get(life) ?? { role, samples: [] };
        known.samples.push(sample);
        seen.set(life, known);
        last.push({ pid, role, sample });
      }
    },
    /** A line for each process that was there at the last look. */
    figures: () =>
      last
        .toSorted((one, other) => (one.role < other.role ? -1 : 1))
        .map(
          ({ pid, role, sample }) =>
            `${role} ${pid}: RSS ${sample.rssMb.toFixed(1)} MB, PSS ${sample.mb.toFixed(1)} MB, descriptors ${describe(sample)}`,
        ),
    /** One line for each kind of process: its longest life. */
    judge(ledger: Ledger) {
      const longest = new Map<string, readonly Sample[]>();
      for (const { role, samples } of seen.values()) {
        const bornAt = samples[0]?.atMinutes ?? 0;
        const warm = samples.filter(({ atMinutes }) => atMinutes - bornAt >= WARM_UP_MINUTES);
        const known = longest.get(role);
        if (warm.length >= LEAST_SAMPLES && span(warm) > span(known ?? [])) longest.set(role, warm);
      }
      return [...longest].sort().map(([role, samples]) => {
        const minutes = span(samples);
        const mb = slope(samples, ({ mb }) => mb);
        const descriptors = slope(samples, ({ descriptors, clients }) => descriptors - clients);
        const [first, last] = [samples[0], samples.at(-1)];
        const told =
          `${role}: ${minutes.toFixed(1)} min, ${samples.length} looks, PSS ${first?.mb.toFixed(0)} to ${last?.mb.toFixed(0)} MB` +
          ` (${signed(mb)} MB/min), descriptors ${describe(first)} to ${describe(last)} (${signed(descriptors)}/min)`;
        ledger.expect("memory", mb * minutes <= MOST_MB, () => told);
        ledger.expect("descriptors", descriptors * minutes <= MOST_DESCRIPTORS, () => told);
        return told;
      });
    },
  };
}

async function sampleOf(pid: number, atMinutes: number): Promise<Sample | null> {
  try {
    const [mb, rss, opened] = await Promise.all([pssMb(pid), rssMb(pid), openedBy(pid, GATEWAY_PORT)]);
    return { atMinutes, mb, rssMb: rss, ...opened };
  } catch {
    // It ended meanwhile.
    return null;
  }
}

function describe(sample: Sample | undefined): string {
  if (sample === undefined) return "none";
  const { descriptors, clients } = sample;
  return clients === 0 ? `${descriptors}` : `${descriptors - clients} and ${clients} of clients`;
}

function span(samples: readonly Sample[]): number {
  return (samples.at(-1)?.atMinutes ?? 0) - (samples[0]?.atMinutes ?? 0);
}

/** By least squares, a minute. */
function slope(samples: readonly Sample[], figure: (sample: Sample) => number): number {
  const mean = (values: readonly number[]): number =>
    values.reduce((sum, each) => sum + each, 0) / values.length;
  const at = mean(samples.map(({ atMinutes }) => atMinutes));
  const value = mean(samples.map(figure));
  const square = samples.reduce((sum, { atMinutes }) => sum + (atMinutes - at) ** 2, 0);
  const product = samples.reduce((sum, each) => sum + (each.atMinutes - at) * (figure(each) - value), 0);
  return square === 0 ? 0 : product / square;
}

function signed(value: number): string {
  return `${value < 0 ? "" : "+"}${value.toFixed(2)}`;
}
