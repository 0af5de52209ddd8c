// What the management API asks about the fleet's layer: as it stands in the bucket, read afresh.
import type { FleetControl } from "../../api/control.ts";
import type { FleetLayerEntry } from "../../api/fleet-contract.ts";
import { unlessAborted } from "../../runtime/abort.ts";
import { MountaineerError } from "../../runtime/errors.ts";
import type { LayerBucket, StoredLayer } from "./layer-bucket.ts";
import type { LayerFollower } from "./layer-follower.ts";
import { readSignedLayer, type SignedLayer } from "./signed-layer.ts";

export type LayerDesk = Pick<FleetControl, "layer" | "layerHistory" | "layerText" | "putLayer">;

interface DeskParts {
  readonly operator: string | null;
  readonly follower: LayerFollower;
  /** null: there is no link. */
  readonly bucket: () => LayerBucket | null;
}

interface Looked {
  readonly entry: FleetLayerEntry;
  /** null: it counts for nothing. */
  readonly layer: SignedLayer | null;
}

export function createLayerDesk({ operator, follower, bucket }: DeskParts): LayerDesk {
  const linked = (): LayerBucket => {
    const found = bucket();
    if (found !== null) return found;
    throw new MountaineerError("fleet_unreachable", "there is no link to the fleet now", { retry: "later" });
  };
  const look = ({ sequence, document }: StoredLayer): Looked => {
    const reading = operator === null ? null : readSignedLayer(document, operator);
    if (reading?.ok === true) {
      const { revision, time, by } = reading.layer;
      return { entry: { revision, time, by, problem: null, sequence }, layer: reading.layer };
    }
    const problem = reading?.problem ?? "[fleet].operator is not set";
    return { entry: { revision: null, time: null, by: null, problem, sequence }, layer: null };
  };
  const newest = async (signal: AbortSignal): Promise<Looked | null> => {
    const stored = await unlessAborted(linked().newest(), signal);
    return stored === null ? null : look(stored);
  };
  const all = async (signal: AbortSignal): Promise<readonly Looked[]> =>
    (await unlessAborted(linked().history(), signal)).map(look);

  return {
    async layer(signal) {
      const found = await newest(signal);
      return {
        operator,
        accepted: await follower.highest(),
        newest: found?.entry ?? null,
        text: found?.layer?.text ?? null,
      };
    },
    layerHistory: async (signal) => ({ entries: (await all(signal)).map(({ entry }) => entry) }),
    async layerText(revision, signal) {
      const found = (await all(signal)).find(({ layer }) => layer?.revision === revision)?.layer;
      if (found != null) return { text: found.text };
      throw new MountaineerError("history_unknown", `the fleet keeps no revision ${revision}`, {
        hint: "mountaineer fleet config history",
      });
    },
    async putLayer({ document, expected_sequence: expected }, signal) {
      const target = linked();
      const { entry, layer } = look({ sequence: 0, document: Buffer.from(document) });
      if (layer === null)
        throw new MountaineerError("usage", `this machine does not believe it: ${entry.problem}`);
      const highest = await follower.highest();
      if (layer.revision <= highest) {
        throw new MountaineerError("usage", `revision ${layer.revision} is not above ${highest}`);
      }
      // Begun, it is carried through: who asks looks again.
      const isPut = await unlessAborted(target.put(document, expected), signal);
      if (!isPut) throw await changedMeanwhile(newest(signal).catch(() => null));
      follower.look();
      return { revision: layer.revision };
    },
  };
}

async function changedMeanwhile(looking: Promise<Looked | null>): Promise<MountaineerError> {
  const { revision = null, by, time } = (await looking)?.entry ?? {};
  const first = revision === null ? "something else" : `revision ${revision}, signed on ${by} at ${time},`;
  return new MountaineerError("config_changed", `${first} was put there first; nothing was written`, {
    hint: "look at it, then try again: mountaineer fleet config get",
    retry: "now",
  });
}
