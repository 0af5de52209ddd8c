// The newest layer that this machine has accepted, as it was signed: what lies under its file while no server answers, and
// before which it takes nothing older. In the fleet's folder of the home.
import { join } from "node:path";
import { keepPrivateFile, readIfPresent } from "../../runtime/files/durable-file.ts";
import { readTrust, type Trust } from "./operator-trust.ts";
import { readSignedLayer, type SignedLayer } from "./signed-layer.ts";

function layerPath(home: string): string {
  return join(home, "fleet", "layer.json");
}

interface KeptLayer {
  /** null: none was accepted, or what stands there is not of this operator. */
  readonly layer: SignedLayer | null;
  /** Why what stands there counts for nothing; null: it counts, or nothing does. */
  readonly problem: string | null;
}

/**
 * Its signature is held against the operator's key again: `line`, as the machine's file has it, or the one that it went over
 * to. Rejects for a file that cannot be read.
 */
export async function readKeptLayer(home: string, line: string): Promise<KeptLayer> {
  return keptLayerBy(home, await readTrust(home, line));
}

/** What was accepted under a key that has gone since counts on, until the next one is. */
export async function keptLayerBy(home: string, { operator, earlier }: Trust): Promise<KeptLayer> {
  const text = await readIfPresent(layerPath(home));
  if (text === null) return { layer: null, problem: null };
  const readings = [operator, ...earlier].map((key) =>
    readSignedLayer(Buffer.from(text), { operator: key, earlier: [] }),
  );
  const believed = readings.find(({ ok }) => ok) ?? readings[0];
  if (believed?.ok === true) return { layer: believed.layer, problem: null };
  return { layer: null, problem: believed?.problem ?? null };
}

/** Whole or not at all, and durable when it resolves. */
export function keepLayer(home: string, document: Uint8Array): Promise<void> {
  return keepPrivateFile(layerPath(home), document, { mode: 0o600 });
}
