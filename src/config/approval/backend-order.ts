// The order of backends, which is approved like an entry: of several backends with a tool of the same name,
// the first one's tool is used. Pure.
import type { BackendConfig, MountaineerConfig } from "../snapshot.ts";

/** The id under which the order of backends is approved. */
export const BACKEND_ORDER = "backends";

/** The names of the enabled backends. */
export function orderOf({ backends }: Pick<MountaineerConfig, "backends">): readonly string[] {
  return backends.filter(({ enabled }) => enabled).map(({ name }) => name);
}

/** The configuration with its backends in the approved order; new ones follow, and disabled ones come last. */
export function inOrder(config: MountaineerConfig, approved: readonly string[]): MountaineerConfig {
  const positions = new Map(approved.map((name, position) => [name, position]));
  const rank = ({ name, enabled }: BackendConfig): number =>
    enabled ? (positions.get(name) ?? approved.length) : approved.length + 1;
  const backends = config.backends.toSorted((one, other) => rank(one) - rank(other));
  const isSame = backends.every((backend, index) => backend === config.backends[index]);
  return isSame ? config : { ...config, backends };
}

export function orderWith(names: readonly string[], before: readonly string[]): readonly string[] {
  return [...names, ...before.filter((name) => !names.includes(name))];
}
