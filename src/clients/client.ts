// The programs that people already have MCP servers in, and where each keeps them.

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
  /** As its makers write the name. */
  readonly title: string;
  readonly format: "json" | "toml";
  /** Where a server stands in its file: the path of the table that holds them by name. */
  readonly section: readonly string[];
  /** False: it is a gateway itself, so its servers are only imported. */
  readonly isConnected: boolean;
  /** What has to be done before it notices a change; null: nothing. */
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

/** Every table in which one of them keeps servers; `projects` holds further ones by folder. */
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
  /** The folder that the person stands in: some clients read servers of a project there. */
  readonly folder: string;
}
