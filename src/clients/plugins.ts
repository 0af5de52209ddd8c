// Plugins and extensions of clients that are installed and enabled, and the servers that they bring.
import { stat } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { isSystemError, recoverFrom } from "../runtime/errors.ts";
import { type JsonMembers, objectOf } from "../runtime/text/json-object.ts";
import { shellCommand } from "../runtime/text/plain-text.ts";
import type { ClientName, ClientSurroundings } from "./client.ts";
import { pathsAt, valuesAt } from "./client-text.ts";

export interface Plugin {
  /** As its client names it: NAME, or NAME@MARKETPLACE. */
  readonly name: string;
  /** Where its files are now. An update may put them elsewhere. */
  readonly folder: string;
  /** The servers by name. */
  readonly servers: JsonMembers;
  /** What switches it off in its client. */
  readonly off: string;
}

type Surroundings = Pick<ClientSurroundings, "userHome" | "environment" | "folder">;

interface PluginRow {
  /** The folder of the client's settings in the home, and the variable that replaces it; "": none does. */
  readonly home: readonly [variable: string, folder: string];
  /** The manifest, in a plugin's folder. */
  readonly manifest: string;
  readonly off: (name: string) => string;
  /** The enabled plugins with their folders. `home`: as above, absolute. */
  readonly find: (
    home: string,
    surroundings: Surroundings,
  ) => Promise<readonly (readonly [name: string, folder: string])[]>;
}

const ROWS: Partial<Record<ClientName, PluginRow>> = {
  "claude-code": {
    home: ["CLAUDE_CONFIG_DIR", ".claude"],
    manifest: ".claude-plugin/plugin.json",
    off: (name) => shellCommand`claude plugin disable ${name}`,
    async find(home, { folder }) {
      const files = [
        join(home, "settings.json"),
        join(folder, ".claude/settings.json"),
        join(folder, ".claude/settings.local.json"),
      ];
      const settings = await Promise.all(files.map(valuesAt));
      const enabled = Object.assign({}, ...settings.map((one) => objectOf(objectOf(one)["enabledPlugins"])));
      const installed = objectOf(
        objectOf(await valuesAt(join(home, "plugins/installed_plugins.json")))["plugins"],
      );
      return Object.entries(installed).flatMap(([name, given]) => {
        const installs = [given].flat().map(objectOf);
        const { installPath } = installs.find(({ projectPath = folder }) => projectPath === folder) ?? {};
        return enabled[name] === true && typeof installPath === "string"
          ? [[name, installPath] as const]
          : [];
      });
    },
  },
  codex: {
    home: ["CODEX_HOME", ".codex"],
    manifest: ".codex-plugin/plugin.json",
    off: (name) => `set enabled = false in [plugins."${name}"] of Codex's config.toml`,
    async find(home) {
      const named = Object.entries(objectOf(objectOf(await valuesAt(join(home, "config.toml")))["plugins"]));
      const enabled = named.flatMap(([name, table]) => (objectOf(table)["enabled"] === false ? [] : [name]));
      return newestOf(join(home, "plugins/cache"), enabled);
    },
  },
  cursor: {
    home: ["", ".cursor"],
    manifest: ".cursor-plugin/plugin.json",
    off: (name) => `switch ${name} off in Cursor: Settings, Plugins`,
    async find(home) {
      const cache = join(home, "plugins/cache");
      const folders = (await pathsAt(`${cache}/*`)).map((market) => pathsAt(`${market}/*`));
      const names = (await Promise.all(folders))
        .flat()
        .map((path) => `${basename(path)}@${basename(dirname(path))}`);
      const local = await pathsAt(join(home, "plugins/local/*"));
      return [...local.map((path) => [basename(path), path] as const), ...(await newestOf(cache, names))];
    },
  },
  gemini: {
    home: ["", ".gemini"],
    manifest: "gemini-extension.json",
    off: (name) => shellCommand`gemini extensions disable ${name}`,
    async find(home, { folder }) {
      const extensions = join(home, "extensions");
      const rules = objectOf(await valuesAt(join(extensions, "extension-enablement.json")));
      const isOn = (name: string): boolean => {
        const { overrides } = objectOf(rules[name]);
        const fitting = [overrides].flat().filter((rule) => typeof rule === "string" && covers(rule, folder));
        return !String(fitting.at(-1) ?? "").startsWith("!");
      };
      const folders = await pathsAt(`${extensions}/*`);
      return folders.map((path) => [basename(path), path] as const).filter(([name]) => isOn(name));
    },
  },
};

/** Whether a rule of an extension, `!` before it or not, covers the folder. */
function covers(rule: string, folder: string): boolean {
  const path = rule.replace(/^!/, "").replace(/\/?\*?$/, "/");
  return rule.endsWith("*") ? `${folder}/`.startsWith(path) : `${folder}/` === path;
}

/** The newest version of each plugin NAME@MARKETPLACE, of which the cache has a folder for each. */
async function newestOf(cache: string, names: readonly string[]) {
  const found = names.map(async (name) => {
    const versions = (await pathsAt(join(cache, ...name.split("@").toReversed(), "*"))).map(async (path) => {
      return { path, timeMs: (await stat(path).catch(recoverFrom(isSystemError, null)))?.mtimeMs ?? 0 };
    });
    const [newest] = (await Promise.all(versions)).sort((one, other) => other.timeMs - one.timeMs);
    return newest === undefined ? [] : [[name, newest.path] as const];
  });
  return (await Promise.all(found)).flat();
}

/** The plugins of a client that are installed and enabled. */
export async function pluginsOf(client: ClientName, surroundings: Surroundings): Promise<readonly Plugin[]> {
  const row = ROWS[client];
  if (row === undefined) return [];
  const [variable, usual] = row.home;
  const found = await row.find(
    surroundings.environment[variable] || join(surroundings.userHome, usual),
    surroundings,
  );
  return Promise.all(
    found.map(async ([name, folder]) => {
      const manifest = objectOf(await valuesAt(join(folder, row.manifest)));
      const given = ["./.mcp.json", manifest["mcpServers"] ?? []];
      const tables = await Promise.all(
        given.flat().map(async (one) => (typeof one === "string" ? valuesAt(join(folder, one)) : one)),
      );
      const servers = tables.map((table) => objectOf(objectOf(table)["mcpServers"] ?? table));
      return { name, folder, servers: Object.assign({}, ...servers), off: row.off(name) };
    }),
  );
}

/** The folder of a plugin, as `CLIENT:NAME` names it; null: it is not installed, or not enabled. */
export async function pluginFolder(named: string, surroundings: Surroundings): Promise<string | null> {
  const [client = "", name = ""] = named.split(/:(.*)/);
  const plugins = Object.keys(ROWS).includes(client)
    ? await pluginsOf(client as ClientName, surroundings)
    : [];
  return plugins.find((plugin) => plugin.name === name)?.folder ?? null;
}
