// Where clients keep their files, by platform.
import { join } from "node:path";
import type { ClientName, ClientSurroundings } from "./client.ts";

/** The files of a client, the user's own first. They may not exist. */
export function clientFiles(name: ClientName, surroundings: ClientSurroundings): readonly string[] {
  const { userHome, environment, folder } = surroundings;
  const settings = environment["XDG_CONFIG_HOME"] || join(userHome, ".config");
  const isMac = process.platform === "darwin";
  const applications = isMac ? join(userHome, "Library", "Application Support") : settings;
  const files: Readonly<Record<ClientName, readonly string[]>> = {
    claude: [join(applications, "Claude", "claude_desktop_config.json")],
    "claude-code": [
      join(environment["CLAUDE_CONFIG_DIR"] || userHome, ".claude.json"),
      join(folder, ".mcp.json"),
    ],
    cursor: [join(userHome, ".cursor", "mcp.json"), join(folder, ".cursor", "mcp.json")],
    vscode: [join(applications, "Code", "User", "mcp.json"), join(folder, ".vscode", "mcp.json")],
    zed: [join(settings, "zed", "settings.json"), join(folder, ".zed", "settings.json")],
    codex: [join(environment["CODEX_HOME"] || join(userHome, ".codex"), "config.toml")],
    windsurf: [join(userHome, ".codeium", "windsurf", "mcp_config.json")],
    gemini: [join(userHome, ".gemini", "settings.json"), join(folder, ".gemini", "settings.json")],
    "mcp-hub": [join(settings, "mcphub", "servers.json")],
    "1mcp": [join(settings, "1mcp", "mcp.json")],
  };
  return files[name];
}
