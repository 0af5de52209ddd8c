// Operations of the management API on the fleet's common configuration ("layer"). Each operation reads the layer's
// bucket on the NATS server again.
import type { FleetLayerEntry } from "../../api/contract/fleet.ts";
import type { Control } from "../../api/operations/operations.ts";
import { unlessAborted } from "../../runtime/abort.ts";
import { MountaineerError } from "../../runtime/errors.ts";
import type { LayerBucket, StoredLayer } from "./layer-bucket.ts";
import type { LayerFollower } from "./layer-follower.ts";
import type { OperatorTrust } from "./operator-trust.ts";
import { type LayerReading, readSignedLayer, type SignedLayer } from "./signed-layer.ts";

export type LayerControl = ReturnType<typeof createLayerControl>;

interface ControlParts {
  /** null: no operator is configured. */
  readonly trust: OperatorTrust | null;
  readonly follower: LayerFollower;
  /** Returns the place where the fleet's server keeps the layer; null while there is no connection to that server. */
  readonly bucket: () => LayerBucket | null;
}

interface CheckedLayer {
  readonly entry: FleetLayerEntry;
  /** null: not trusted. */
  readonly layer: SignedLayer | null;
}

export function createLayerControl({ trust, follower, bucket }: ControlParts) {
  const linked = (): LayerBucket => {
    const found = bucket();
    if (found !== null) return found;
    throw new MountaineerError("fleet_unreachable", "there is no link to the fleet now", { retry: "later" });
  };
  /** Checks a document. If it is valid, this machine trusts the handovers of the operator's key in it from then on. */
  const check = async ({ sequence, document }: StoredLayer): Promise<CheckedLayer> =>
    checkedLayer(sequence, trust === null ? NO_OPERATOR : await trust.check(document));
  const newest = async (signal: AbortSignal): Promise<CheckedLayer | null> => {
    const stored = await unlessAborted(linked().newest(), signal);
    return stored === null ? null : check(stored);
  };
  const all = async (signal: AbortSignal): Promise<readonly CheckedLayer[]> => {
    const [last, ...before] = await unlessAborted(linked().history(), signal);
    if (last === undefined) return [];
    const first = await check(last);
    const { operator, earlier } = (await trust?.read()) ?? { operator: "", earlier: [] };
    return [first, ...checkHistory(before, trust === null ? [] : [...earlier, operator])];
  };

  return {
    async fleetLayer(_, signal) {
      const found = await newest(signal);
      const { operator = null, line = null } = (await trust?.read()) ?? {};
      return {
        operator,
        line,
        accepted: await follower.highest(),
        newest: found?.entry ?? null,
        text: found?.layer?.text ?? null,
      };
    },
    fleetLayerHistory: async (_, signal) => ({ entries: (await all(signal)).map(({ entry }) => entry) }),
    async fleetLayerText({ n: revision }, signal) {
      const found = (await all(signal)).find(({ layer }) => layer?.revision === revision)?.layer;
      if (found != null) return { text: found.text };
      throw new MountaineerError("history_unknown", `the fleet keeps no revision ${revision}`, {
        hint: "mountaineer fleet config history",
      });
    },
    async putFleetLayer({ document, expected_sequence: expected }, signal) {
      const target = linked();
      const bytes = Buffer.from(document);
      const before = await trust?.read();
      const reading = before === undefined ? NO_OPERATOR : readSignedLayer(bytes, before);
      const { entry, layer } = checkedLayer(0, reading);
      if (layer === null)
        throw new MountaineerError("usage", `this machine does not trust the document: ${entry.problem}`);
      const highest = await follower.highest();
      if (layer.revision <= highest) {
        throw new MountaineerError("usage", `revision ${layer.revision} is not above ${highest}`);
      }
      // An abort does not cancel the write, so after an abort the caller must read the stored layer again.
      const isPut = await unlessAborted(target.put(document, expected), signal);
      if (!isPut) throw await changedMeanwhile(newest(signal).catch(() => null));
      // Also makes this machine trust the handovers in the document.
      await trust?.check(bytes);
      follower.look();
      return { revision: layer.revision };
    },
  } satisfies Partial<Control>;
}

const NO_OPERATOR: LayerReading = { ok: false, problem: "[fleet].operator is not set" };

function checkedLayer(sequence: number, reading: LayerReading): CheckedLayer {
  if (!reading.ok) {
    const entry = { revision: null, time: null, by: null, problem: reading.problem, sequence };
    return { entry, layer: null };
  }
  const { revision, time, by } = reading.layer;
  return { entry: { revision, time, by, problem: null, sequence }, layer: reading.layer };
}

/**
 * Checks the revisions that precede the newest one, from new to old. A revision by an earlier key counts only if it
 * is older than all revisions by later keys: the holder of a replaced key can add entries, but only after the
 * existing ones.
 */
function checkHistory(stored: readonly StoredLayer[], keys: readonly string[]): readonly CheckedLayer[] {
  const checked: CheckedLayer[] = [];
  let from = 0;
  for (const { sequence, document } of stored.toReversed()) {
    const readings = keys
      .slice(from)
      .map((operator) =>
        readSignedLayer(document, { operator, earlier: keys.slice(0, keys.indexOf(operator)) }),
      )
      .map((reading) => (reading.ok && reading.steps.length > 0 ? NO_OPERATOR : reading));
    const index = readings.findIndex(({ ok }) => ok);
    if (index >= 0) from += index;
    checked.unshift(checkedLayer(sequence, readings[index] ?? readings.at(-1) ?? NO_OPERATOR));
  }
  return checked;
}

async function changedMeanwhile(looking: Promise<CheckedLayer | null>): Promise<MountaineerError> {
  const { revision = null, by, time } = (await looking)?.entry ?? {};
  const first = revision === null ? "something else" : `revision ${revision}, signed on ${by} at ${time},`;
  return new MountaineerError("config_changed", `${first} was put there first; nothing was written`, {
    hint: "look at it, then try again: mountaineer fleet config get",
    retry: "now",
  });
}
