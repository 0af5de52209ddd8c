// Finds backends that are given a folder on a share without requiring that share. Pure arithmetic on paths.
import { join } from "node:path";
import { routeKeys, routesOf } from "./backend-routes.ts";
import type { ConfigWarning, MountaineerConfig } from "./snapshot.ts";
import { pathText } from "./values/mistakes.ts";
import { isWithin } from "./values/paths.ts";

/** One warning for each enabled backend that works on a share without requiring it. */
export function unstatedShareWarnings(config: MountaineerConfig): ConfigWarning[] {
  const places = placesOf(config);
  return config.backends.flatMap((backend): ConfigWarning[] => {
    const { name, enabled, requires } = backend;
    const given = routesOf(backend).flatMap(({ connection }, route) => {
      if (!enabled || connection.type !== "stdio") return [];
      const keys = routeKeys(backend, route);
      const args = connection.args.map((path, index) => [path, [...keys, "args", index]] as const);
      return [[connection.cwd, [...keys, "cwd"]] as const, ...args];
    });
    for (const [path, at] of given) {
      const share = places.find(([folder]) => path.startsWith("/") && isWithin(path, folder))?.[1];
      if (share === undefined || requires.some((one) => one.share === share)) continue;
      return [
        {
          path: pathText(["backends", name, ...at]),
          text: `${path} is on share ${share}, which may not be there when the backend is started`,
          hint: `say \`requires = ["${share}"]\`: it then waits for the share, and its tools leave and return with it`,
        },
      ];
    }
    return [];
  });
}

/** Folders that lead to a share, and the share's name. */
function placesOf({ global, shares, aliases }: MountaineerConfig): readonly (readonly [string, string])[] {
  return [
    ...shares.flatMap(({ name, shareName }) => [
      [join(global.sharesRoot, name), name] as const,
      [join(global.mountRoot, name), name] as const,
      [join(global.mountRoot, shareName), name] as const,
    ]),
    ...aliases.map(({ path, share }) => [path, share] as const),
  ];
}
