// The programs that have MCP servers in files of their own: one row each, with all that `import` and `connect` know of it.
import { join } from "node:path";
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
   * Its files, the first of its own being the one that `connect` writes if none exists. `./` is a project's folder,
   * `APPS` the folder of applications, `CONFIG` that of settings, and `$NAME|` a variable that replaces the folder.
   */
  readonly files: readonly string[];
  readonly format?: "toml" | "yaml";
  /** The path of the table that contains the servers by name; absent: `mcpServers`. */
  readonly section?: readonly string[];
  /** The form of an entry; absent: `command`, `args` and `env`. */
  readonly entry?: (program: OwnProgram) => ConfigTable;
  /** `dollar`: it also replaces `$NAME`; `shell`: and `$(command)`, too; absent: neither. */
  readonly expands?: "dollar" | "shell";
  /** True for a gateway, and for a file that Mountaineer cannot write: its servers can be imported only. */
  readonly isImportOnly?: true;
  /** What the user must do before the program notices a change; null: nothing; absent: restart it. */
  readonly afterwards?: string | null;
}

const ROWS = {
  claude: { title: "Claude Desktop", files: ["APPS/Claude/claude_desktop_config.json"] },
  "claude-code": {
    title: "Claude Code",
    files: ["$CLAUDE_CONFIG_DIR|~/.claude.json", "./.mcp.json"],
    entry: (program) => ({ type: "stdio", ...plainEntry(program) }),
    afterwards: "begin a new session of Claude Code",
  },
  cursor: { title: "Cursor", files: ["~/.cursor/mcp.json", "./.cursor/mcp.json"], afterwards: null },
  vscode: {
    title: "VS Code",
    files: ["APPS/Code/User/mcp.json", "./.vscode/mcp.json"],
    section: ["servers"],
    entry: (program) => ({ type: "stdio", ...plainEntry(program) }),
    afterwards: "start it once in VS Code: MCP: List Servers",
  },
  zed: {
    title: "Zed",
    files: ["CONFIG/zed/settings.json", "./.zed/settings.json"],
    section: ["context_servers"],
    entry: (program) => ({ source: "custom", ...plainEntry(program) }),
    afterwards: null,
  },
  codex: {
    title: "Codex",
    files: ["$CODEX_HOME|~/.codex/config.toml", "./.codex/config.toml"],
    format: "toml",
    section: ["mcp_servers"],
    afterwards: "begin a new session of Codex",
  },
  windsurf: {
    title: "Windsurf",
    files: ["~/.codeium/windsurf/mcp_config.json"],
    afterwards: "refresh the servers in Windsurf",
  },
  gemini: {
    title: "Gemini CLI",
    files: ["~/.gemini/settings.json", "./.gemini/settings.json"],
    expands: "dollar",
    afterwards: "begin a new session of Gemini CLI",
  },
  qwen: {
    title: "Qwen Code",
    files: ["~/.qwen/settings.json", "./.qwen/settings.json"],
    expands: "dollar",
    afterwards: "begin a new session of Qwen Code",
  },
  opencode: {
    title: "opencode",
    files: [
      "CONFIG/opencode/opencode.json",
      "CONFIG/opencode/opencode.jsonc",
      "./opencode.json",
      "./opencode.jsonc",
    ],
    section: ["mcp"],
    entry: ({ command, args, env }) => ({ type: "local", command: [command, ...args], environment: env }),
  },
  copilot: {
    title: "Copilot CLI",
    files: ["$COPILOT_HOME|~/.copilot/mcp-config.json", "./.copilot/mcp-config.json"],
    entry: (program) => ({ type: "local", ...plainEntry(program), tools: ["*"] }),
    afterwards: "begin a new session of Copilot CLI",
  },
  kiro: {
    title: "Kiro",
    files: ["~/.kiro/settings/mcp.json", "./.kiro/settings/mcp.json"],
    afterwards: null,
  },
  roo: {
    title: "Roo Code",
    files: [
      "APPS/Code/User/globalStorage/rooveterinaryinc.roo-cline/settings/mcp_settings.json",
      "./.roo/mcp.json",
    ],
    afterwards: null,
  },
  cline: {
    title: "Cline",
    files: [
      "APPS/Code/User/globalStorage/saoudrizwan.claude-dev/settings/cline_mcp_settings.json",
      "~/.cline/data/settings/cline_mcp_settings.json",
      "./.cline/cline_mcp_settings.json",
    ],
    afterwards: null,
  },
  antigravity: {
    title: "Antigravity",
    files: ["~/.gemini/antigravity/mcp_config.json"],
    afterwards: "refresh the servers in Antigravity",
  },
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
    entry: (program) => ({ type: "stdio", ...plainEntry(program) }),
    expands: "shell",
  },
  goose: {
    title: "goose",
    files: ["CONFIG/goose/config.yaml"],
    format: "yaml",
    section: ["extensions"],
    entry: ({ command, args, env }) => ({
      ...{ type: "stdio", name: "mountaineer", description: "", enabled: true, timeout: 300 },
      ...{ cmd: command, args: [...args], envs: env },
    }),
    afterwards: "begin a new session of goose",
  },
  continue: {
    title: "Continue",
    files: ["~/.continue/config.yaml", "./.continue/config.yaml"],
    format: "yaml",
    isImportOnly: true,
  },
  librechat: { title: "LibreChat", files: ["./librechat.yaml"], format: "yaml", isImportOnly: true },
  "mcp-hub": { title: "mcp-hub", files: ["CONFIG/mcphub/servers.json"], isImportOnly: true },
  "1mcp": { title: "1MCP", files: ["CONFIG/1mcp/mcp.json"], isImportOnly: true },
} as const satisfies Readonly<Record<string, Row>>;

export type ClientName = keyof typeof ROWS;
export interface Client {
  readonly name: ClientName;
  readonly title: string;
  readonly files: readonly string[];
  readonly format: "json" | "toml" | "yaml";
  readonly section: readonly string[];
  readonly entry: (program: OwnProgram) => ConfigTable;
  readonly expands: "dollar" | "shell" | null;
  readonly isConnected: boolean;
  readonly afterwards: string | null;
}

// The assertion holds: the object has no other keys.
export const CLIENT_NAMES = Object.keys(ROWS) as readonly ClientName[];

/** All clients, in the order in which `import` reads their files. */
export const CLIENTS: Readonly<Record<ClientName, Client>> = Object.fromEntries(
  Object.entries<Row>(ROWS).map(([name, { isImportOnly = false, ...row }]) => {
    const filled = { format: "json", section: ["mcpServers"], entry: plainEntry, expands: null, ...row };
    return [name, { afterwards: `restart ${row.title}`, ...filled, name, isConnected: !isImportOnly }];
  }),
  // The assertion holds: each row became a client under its own name.
) as Record<ClientName, Client>;

function plainEntry({ command, args, env }: OwnProgram): ConfigTable {
  return { command, args: [...args], ...(Object.keys(env).length === 0 ? {} : { env }) };
}

export interface ClientSurroundings {
  /** The user's home folder, absolute. */
  readonly userHome: string;
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** The current folder, where some clients read the servers of a project. */
  readonly folder: string;
}

export interface ClientFile {
  readonly path: string;
  /** True: the file is in a project's folder, so anybody may have written it. */
  readonly isOfFolder: boolean;
}

/** The files of a client, the user's own first. They may not exist. */
export function clientFiles(
  name: ClientName,
  { userHome, environment, folder }: ClientSurroundings,
): readonly ClientFile[] {
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
 * Which client's file `path` is, and the folder that its relative paths begin at; null: no client is known by it, and
 * its folder is unknown because it is the user's own.
 */
export function clientOf(
  path: string,
  surroundings: ClientSurroundings,
): { readonly client: Client | null; readonly folder: string | null } {
  for (const name of CLIENT_NAMES) {
    const own = clientFiles(name, surroundings).some((file) => !file.isOfFolder && file.path === path);
    if (own) return { client: CLIENTS[name], folder: null };
  }
  for (const client of Object.values(CLIENTS)) {
    const tail = client.files
      .map((file) => file.slice(1))
      .find((file, index) => {
        return client.files[index]?.startsWith("./") && path.endsWith(file);
      });
    if (tail !== undefined) return { client, folder: path.slice(0, -tail.length) || "/" };
  }
  return { client: null, folder: join(path, "..") };
}
