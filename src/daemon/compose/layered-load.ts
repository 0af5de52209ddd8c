// Loads a configuration with what the home has kept of the fleet's layer under it.
import type { ConfigLayer } from "../../config/layer/layer.ts";
import type { ConfigMistake } from "../../config/values/mistakes.ts";
import { type ApartOptions, type LoadedApart, loadConfigApart } from "../../config/worker/load-apart.ts";

/** The layer that was accepted last of this operator, its signature proved again; null: none. Never rejects. */
export type KeptLayer = (operator: string) => Promise<ConfigLayer | null>;

export interface LayeredLoad extends LoadedApart {
  /** What lies under the file; null: nothing. */
  readonly layer: ConfigLayer | null;
  /** What is wrong with a layer that was kept, and is left out: the file alone is right. */
  readonly layerMistakes: readonly ConfigMistake[];
}

/** As `loadConfigApart`. A layer that does not fit any more keeps nothing from starting. */
export async function loadLayered(
  request: Parameters<typeof loadConfigApart>[0],
  keptLayer: KeptLayer,
  options: ApartOptions,
): Promise<LayeredLoad> {
  const own = await loadConfigApart(request, options);
  const operator = own.loaded.ok ? (own.loaded.snapshot.config.fleet?.operator ?? null) : null;
  const layer = operator === null ? null : await keptLayer(operator);
  if (layer === null) return { ...own, layer: null, layerMistakes: [] };
  const { starterWritten } = own;
  const both = await loadConfigApart({ ...request, writeStarter: false, layer }, options);
  // The file may have been changed in between: the watcher finds out.
  if (both.loaded.ok) return { ...both, starterWritten, layer, layerMistakes: [] };
  return { ...own, layer: null, layerMistakes: both.loaded.mistakes };
}
