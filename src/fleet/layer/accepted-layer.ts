// The newest common configuration ("layer") that this machine has accepted, as a signed document in the home.
// It applies while no server can be reached. An older layer is never accepted after it.
import { join } from "node:path";
import { keepPrivateFile, readIfPresent } from "../../runtime/files/durable-file.ts";
import { readTrust, type Trust } from "./operator-trust.ts";
import { readSignedLayer, type SignedLayer } from "./signed-layer.ts";

function layerPath(home: string): string {
  return join(home, "fleet", "layer.json");
}

interface KeptLayer {
  /** null: there is no file, or the file is not trusted. */
  readonly layer: SignedLayer | null;
  /** Why the file is not trusted; null: the file is trusted, or there is no file. */
  readonly problem: string | null;
}

/**
 * Reads the kept layer and checks its signature again. `line`: the operator key in the machine's configuration; keys
 * that have replaced it by handovers are accepted, too. Rejects if a file cannot be read.
 */
export async function readAcceptedLayer(home: string, line: string): Promise<KeptLayer> {
  return keptLayerBy(home, await readTrust(home, line));
}

/**
 * Reads the kept layer if one of these keys has signed it. A layer that an earlier key signed stays valid
 * until the next one is accepted.
 */
export async function keptLayerBy(home: string, { operator, earlier }: Trust): Promise<KeptLayer> {
  const text = await readIfPresent(layerPath(home));
  if (text === null) return { layer: null, problem: null };
  const readings = [operator, ...earlier].map((key) =>
    readSignedLayer(Buffer.from(text), { operator: key, earlier: [] }),
  );
  const trusted = readings.find(({ ok }) => ok) ?? readings[0];
  if (trusted?.ok === true) return { layer: trusted.layer, problem: null };
  return { layer: null, problem: trusted?.problem ?? null };
}

/** Resolves when the document is durable. */
export function storeAcceptedLayer(home: string, document: Uint8Array): Promise<void> {
  return keepPrivateFile(layerPath(home), document, { mode: 0o600 });
}
