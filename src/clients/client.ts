// The programs that have MCP servers in files of their own, and the format of each file.

export const CLIENT_NAMES = [
  "claude",
  "claude-code",
  "cursor",
  "vscode",
  "zed",
  "codex",
  "windsurf",
  "gemini",
  "mcp-hub",
  "1mcp",
] as const;

export type ClientName = (typeof CLIENT_NAMES)[number];

export interface Client {
  readonly name: ClientName;
  /** The name as its makers write it. */
  readonly title: string;
  readonly format: "json" | "toml";
  /** The path of the table that contains the servers by name. */
  readonly section: readonly string[];
  /** False for a gateway: its servers can be imported, but it is never connected to Mountaineer. */
  readonly isConnected: boolean;
  /** What the user must do before the program notices a change; null: nothing. */
  readonly afterwards: string | null;
}

function client(name: ClientName, title: string, more: Partial<Client> = {}): Client {
  return {
    name,
    title,
    format: "json",
    section: ["mcpServers"],
    isConnected: true,
    afterwards: `restart ${title}`,
    ...more,
  };
}

export const CLIENTS: Readonly<Record<ClientName, Client>> = {
  claude: client("claude", "Claude Desktop"),
  "claude-code": client("claude-code", "Claude Code", { afterwards: "begin a new session of Claude Code" }),
  cursor: client("cursor", "Cursor", { afterwards: null }),
  vscode: client("vscode", "VS Code", {
    section: ["servers"],
    afterwards: "start it once in VS Code: MCP: List Servers",
  }),
  zed: client("zed", "Zed", { section: ["context_servers"], afterwards: null }),
  codex: client("codex", "Codex", {
    format: "toml",
    section: ["mcp_servers"],
    afterwards: "begin a new session of Codex",
  }),
  windsurf: client("windsurf", "Windsurf", { afterwards: "refresh the servers in Windsurf" }),
  gemini: client("gemini", "Gemini CLI", { afterwards: "begin a new session of Gemini CLI" }),
  "mcp-hub": client("mcp-hub", "mcp-hub", { isConnected: false }),
  "1mcp": client("1mcp", "1MCP", { isConnected: false }),
};

/**
 * The paths of all tables that may have servers in a client's file. A table `projects` may have more of them,
 * by folder.
 */
export const SECTIONS: readonly (readonly string[])[] = [
  ["mcpServers"],
  ["servers"],
  ["mcp", "servers"],
  ["context_servers"],
  ["mcp_servers"],
];

export interface ClientSurroundings {
  /** The user's home folder, absolute. */
  readonly userHome: string;
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** The current folder, where some clients read the servers of a project. */
  readonly folder: string;
}
