// The programs that configure MCP servers in their own files: one row each, with everything that `import` and `connect`
// need.
import { dirname, join } from "node:path";
import type { ConfigTable } from "../config/edit/edit-value.ts";

/** How a client starts this program. */
export interface OwnProgram {
  readonly command: string;
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string>>;
}

interface Row {
  /** The name as its makers write it. */
  readonly title: string;
  /**
   * Its files; `connect` writes the first that is not a project's if none exists. `./` is a project's folder, `*` both
   * this and the home, `APPS` the folder of applications, `CONFIG` that of settings; `$NAME|` a variable that replaces
   * the folder.
   */
  readonly files: readonly string[];
  readonly format?: "toml" | "yaml";
  /** The path of the table that contains the servers by name; absent: `mcpServers`. */
  readonly section?: readonly string[];
  /** Members of an entry besides `command`, `args` and `env`, or the form of an entry without those. */
  readonly also?: ConfigTable;
  readonly entry?: (program: OwnProgram) => ConfigTable;
  /** `dollar`: it also replaces `$NAME`; `shell`: and also `$(command)`; absent: neither. */
  readonly expands?: "dollar" | "shell";
  /** True for a gateway, and for a file that Mountaineer cannot write: its servers can be imported only. */
  readonly isImportOnly?: true;
  /** What the user must do before the program notices a change, with TITLE; null: nothing; absent: restart it. */
  readonly afterwards?: string | null;
}

const SESSION = "begin a new session of TITLE";
const STORAGE = "APPS/Code/User/globalStorage";

const asLocal = ({ command, args, env }: OwnProgram): ConfigTable => {
  return { type: "local", command: [command, ...args], environment: env };
};

const ROWS = {
  claude: { title: "Claude Desktop", files: ["APPS/Claude/claude_desktop_config.json"] },
  "claude-code": {
    title: "Claude Code",
    files: ["$CLAUDE_CONFIG_DIR|~/.claude.json", "./.mcp.json"],
    also: { type: "stdio" },
    afterwards: SESSION,
  },
  cursor: { title: "Cursor", files: ["*/.cursor/mcp.json"], afterwards: null },
  vscode: {
    title: "VS Code",
    files: ["APPS/Code/User/mcp.json", "./.vscode/mcp.json"],
    section: ["servers"],
    also: { type: "stdio" },
    afterwards: "start it once in VS Code: MCP: List Servers",
  },
  zed: {
    title: "Zed",
    files: ["CONFIG/zed/settings.json", "./.zed/settings.json"],
    section: ["context_servers"],
    also: { source: "custom" },
    afterwards: null,
  },
  codex: {
    title: "Codex",
    files: ["$CODEX_HOME|~/.codex/config.toml", "./.codex/config.toml"],
    format: "toml",
    section: ["mcp_servers"],
    afterwards: SESSION,
  },
  windsurf: {
    title: "Windsurf",
    files: ["~/.codeium/windsurf/mcp_config.json"],
    afterwards: "refresh the servers in TITLE",
  },
  gemini: { title: "Gemini CLI", files: ["*/.gemini/settings.json"], expands: "dollar", afterwards: SESSION },
  qwen: { title: "Qwen Code", files: ["*/.qwen/settings.json"], expands: "dollar", afterwards: SESSION },
  opencode: {
    title: "opencode",
    files: [
      "CONFIG/opencode/opencode.json",
      "CONFIG/opencode/opencode.jsonc",
      "./opencode.json",
      "./opencode.jsonc",
    ],
    section: ["mcp"],
    entry: asLocal,
  },
  kilo: {
    title: "Kilo Code",
    files: [
      "CONFIG/kilo/kilo.jsonc",
      "CONFIG/kilo/kilo.json",
      ...["./kilo.jsonc", "./kilo.json", "./.kilo/kilo.jsonc", "./.kilo/kilo.json", "./.kilocode/mcp.json"],
    ],
    section: ["mcp"],
    entry: asLocal,
  },
  copilot: {
    title: "Copilot CLI",
    files: ["$COPILOT_HOME|~/.copilot/mcp-config.json", "./.copilot/mcp-config.json", "./.github/mcp.json"],
    also: { type: "local", tools: ["*"] },
    afterwards: SESSION,
  },
  kiro: { title: "Kiro", files: ["*/.kiro/settings/mcp.json"], afterwards: null },
  roo: {
    title: "Roo Code",
    files: [`${STORAGE}/rooveterinaryinc.roo-cline/settings/mcp_settings.json`, "./.roo/mcp.json"],
    afterwards: null,
  },
  cline: {
    title: "Cline",
    files: [
      `${STORAGE}/saoudrizwan.claude-dev/settings/cline_mcp_settings.json`,
      "~/.cline/data/settings/cline_mcp_settings.json",
      "./.cline/cline_mcp_settings.json",
    ],
    afterwards: null,
  },
  antigravity: {
    title: "Antigravity",
    files: [
      "~/.gemini/config/mcp_config.json",
      "~/.gemini/antigravity/mcp_config.json",
      "./.agents/mcp_config.json",
    ],
    afterwards: "refresh the servers in TITLE",
  },
  factory: {
    title: "Factory Droid",
    files: ["*/.factory/mcp.json"],
    also: { type: "stdio" },
    afterwards: SESSION,
  },
  junie: { title: "Junie", files: ["*/.junie/mcp/mcp.json"] },
  "lm-studio": { title: "LM Studio", files: ["~/.lmstudio/mcp.json"], afterwards: null },
  "amazon-q": { title: "Amazon Q", files: ["~/.aws/amazonq/mcp.json", "./.amazonq/mcp.json"] },
  amp: {
    title: "Amp",
    files: ["CONFIG/amp/settings.json", "./.amp/settings.json"],
    section: ["amp.mcpServers"],
  },
  crush: {
    title: "Crush",
    files: ["CONFIG/crush/crush.json", "./crush.json", "./.crush.json"],
    section: ["mcp"],
    also: { type: "stdio" },
    expands: "shell",
  },
  goose: {
    title: "goose",
    files: ["CONFIG/goose/config.yaml"],
    format: "yaml",
    section: ["extensions"],
    entry: ({ command, args, env }) => ({
      type: "stdio",
      name: "mountaineer",
      description: "",
      enabled: true,
      timeout: 300,
      cmd: command,
      args: [...args],
      envs: env,
    }),
    afterwards: SESSION,
  },
  continue: { title: "Continue", files: ["*/.continue/config.yaml"], format: "yaml", isImportOnly: true },
  trae: { title: "Trae", files: ["./.trae/mcp.json"], isImportOnly: true },
  librechat: { title: "LibreChat", files: ["./librechat.yaml"], format: "yaml", isImportOnly: true },
  "mcp-hub": { title: "mcp-hub", files: ["CONFIG/mcphub/servers.json"], isImportOnly: true },
  "1mcp": { title: "1MCP", files: ["CONFIG/1mcp/mcp.json"], isImportOnly: true },
} as const satisfies Readonly<Record<string, Row>>;

export type ClientName = keyof typeof ROWS;
export type Client = Required<Pick<Row, "title" | "files" | "section" | "entry" | "afterwards">> & {
  readonly name: ClientName;
  readonly format: "json" | "toml" | "yaml";
  readonly expands: "dollar" | "shell" | null;
  readonly isConnected: boolean;
};

// The assertion holds: the object has no other keys.
export const CLIENT_NAMES = Object.keys(ROWS) as readonly ClientName[];

/** All clients, in the order in which `import` reads their files. */
export const CLIENTS = Object.fromEntries(
  CLIENT_NAMES.map((name) => [name, clientFrom(name, ROWS[name])]),
  // The assertion holds: each name has its client.
) as Readonly<Record<ClientName, Client>>;

function clientFrom(name: ClientName, row: Row): Client {
  const { title, files, format = "json", section = ["mcpServers"], also, expands = null } = row;
  const plain = ({ command, args, env }: OwnProgram): ConfigTable => {
    return { ...also, command, args: [...args], ...(Object.keys(env).length === 0 ? {} : { env }) };
  };
  const { entry = plain, isImportOnly = false, afterwards = "restart TITLE" } = row;
  return {
    ...{ name, title, format, section, expands, entry, isConnected: !isImportOnly },
    files: files.flatMap((file) =>
      file.startsWith("*") ? [`~${file.slice(1)}`, `.${file.slice(1)}`] : file,
    ),
    afterwards: afterwards?.replace("TITLE", title) ?? null,
  };
}

export interface ClientSurroundings {
  /** The user's home folder, absolute. */
  readonly userHome: string;
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** The current folder, where some clients read the servers of a project. */
  readonly folder: string;
  /** True: the servers that a client keeps for other folders also count. */
  readonly everyProject?: boolean;
}

/**
 * The files of a client, the user's own first. They may not exist. `isOfFolder`: the file is in a project's folder, so
 * anybody may have written it.
 */
export function clientFiles(
  name: ClientName,
  { userHome, environment, folder }: ClientSurroundings,
): readonly { readonly path: string; readonly isOfFolder: boolean }[] {
  const settings = environment["XDG_CONFIG_HOME"] || "~/.config";
  const applications = process.platform === "darwin" ? "~/Library/Application Support" : settings;
  return CLIENTS[name].files.map((pattern) => {
    const path = pattern
      .replace(/^APPS(?=\/)/, applications)
      .replace(/^CONFIG(?=\/)/, settings)
      .replace(
        /^\$(\w+)\|(.*)(?=\/)/,
        (_, variable: string, usual: string) => environment[variable] || usual,
      );
    const isOfFolder = path.startsWith("./");
    const absolute = path.replace(/^~(?=\/)/, userHome);
    return { path: isOfFolder ? join(folder, path) : absolute, isOfFolder };
  });
}

/**
 * Which client's file `path` is (null: none that is known), and the folder that its relative paths begin at (null: it is
 * the user's own file).
 */
export function clientOf(
  path: string,
  surroundings: ClientSurroundings,
): { readonly client: Client | null; readonly folder: string | null } {
  const clients = Object.values(CLIENTS);
  const own = clients.find(({ name }) =>
    clientFiles(name, surroundings).some((file) => !file.isOfFolder && file.path === path),
  );
  if (own !== undefined) return { client: own, folder: null };
  for (const client of clients) {
    const tail = client.files.find((file) => file.startsWith("./") && path.endsWith(file.slice(1)));
    if (tail !== undefined) return { client, folder: path.slice(0, 1 - tail.length) || "/" };
  }
  // Other editions of editors, and editors of another machine or in a container: files of the person.
  if (
    /\/User\/(?:profiles\/[^/]+\/)?(?:mcp|settings)\.json$|\/User\/globalStorage\/|\/\.var\/app\//.test(path)
  )
    return { client: null, folder: null };
  const [, workspace] = /^(.+)\/\.continue\/mcpServers\/[^/]+$/.exec(path) ?? [];
  if (workspace !== undefined) return { client: CLIENTS.continue, folder: workspace };
  // A file in a hidden folder is of the folder around it.
  const [, folder = dirname(path)] = /^(.+)\/\.[^/]+\/[^/]+$/.exec(path) ?? [];
  return { client: null, folder: folder === surroundings.userHome ? null : folder };
}
