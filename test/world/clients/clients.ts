// The clients that people have: a row each. How it is installed, how it is pointed at a server, and what of it is its own.
import path from "node:path";
import type { Place, Start, Target, TransportName } from "./session.ts";

export interface ClientRow {
  readonly name: string;
  /** As npm or pip takes it; `go`: the program in `programs/go`, `ours`: what this checkout has. */
  readonly from: `npm:${string}` | `pip:${string}` | "go" | "ours";
  /** `agent`: a program with a model, which is ours; `program`: one of `programs/`, asked by lines. */
  readonly kind: "agent" | "program";
  /** Played by each `.ci/run`. */
  readonly isCore?: boolean;
  /** What it speaks; all three if not given. */
  readonly transports?: readonly TransportName[];
  /**
   * Where it speaks 2026-07-28 with the gateway, and asks that of no changes: it keeps the list that it had, as with any
   * server of that version.
   */
  readonly hearsNoChange?: readonly TransportName[];
  /** `bin`: where its programs were installed. */
  start(bin: string, target: Target, place: Place): Start;
}

const PROGRAMS = path.join(import.meta.dirname, "programs");
/** What each calls the server: names of tools come out alike. */
const SERVER = "world";

/** `{ mcpServers: { world: … } }`, as most programs keep it. */
function mcpServers(entry: object): string {
  return JSON.stringify({ mcpServers: { [SERVER]: entry } });
}

const local = (target: Target): { command: string; args: readonly string[]; env: object } | null =>
  target.transport === "stdio" ? { command: target.command, args: target.args, env: target.env } : null;

/** As Gemini CLI and its kin have it: one key for each transport. */
const byKind = (target: Target, http: string): object =>
  target.transport === "stdio"
    ? { command: target.command, args: target.args, env: target.env, trust: true }
    : { [target.transport === "SSE" ? "url" : http]: target.url, trust: true };

const toml = (value: unknown): string => JSON.stringify(value);

/** `PROGRAM… TRANSPORT URL`, or `PROGRAM… stdio COMMAND ARGUMENT…` with the server's environment in its own. */
function asked(command: string, args: readonly string[], target: Target): Start {
  return target.transport === "stdio"
    ? { command, args: [...args, "stdio", target.command, ...target.args], env: target.env }
    : { command, args: [...args, target.transport, target.url] };
}

const python =
  (program: string, env = {}): ClientRow["start"] =>
  (bin, target) => {
    const start = asked(path.join(bin, "python"), [path.join(PROGRAMS, program)], target);
    // What Python compiles, it would write beside the sources.
    const compiled = { PYTHONPYCACHEPREFIX: path.join(bin, "../compiled") };
    return { ...start, env: { ...start.env, ...compiled, ...env } };
  };

const typescript =
  (generation: string): ClientRow["start"] =>
  (_, target) =>
    asked(process.execPath, [path.join(PROGRAMS, "typescript-sdk.ts"), generation], target);

export const CLIENTS: readonly ClientRow[] = [
  {
    name: "Claude Code",
    from: "npm:@anthropic-ai/claude-code@2.1.197",
    kind: "agent",
    start: (bin, target, { home, model }) => ({
      command: path.join(bin, "claude"),
      args: [
        ...["-p", "go", "--model", "claude-sonnet-4-5", "--allowedTools", `mcp__${SERVER}`],
        ...["--strict-mcp-config", "--mcp-config", path.join(home, "mcp.json")],
      ],
      files: {
        "mcp.json": mcpServers(
          local(target) ?? { type: target.transport.toLowerCase(), url: "url" in target && target.url },
        ),
      },
      env: {
        ANTHROPIC_BASE_URL: model,
        ANTHROPIC_API_KEY: "none",
        CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC: "1",
        DISABLE_AUTOUPDATER: "1",
        ENABLE_TOOL_SEARCH: "false",
      },
    }),
  },
  {
    name: "Codex",
    from: "npm:@openai/codex@0.171.0",
    kind: "agent",
    transports: ["HTTP", "stdio"],
    start: (bin, target, { model }) => ({
      command: path.join(bin, "codex"),
      args: ["exec", "--skip-git-repo-check", "--dangerously-bypass-approvals-and-sandbox", "go"],
      files: {
        ".codex/config.toml": [
          'model = "stub"\nmodel_provider = "stub"\ncheck_for_update_on_startup = false',
          "[analytics]\nenabled = false",
          `[model_providers.stub]\nname = "stub"\nbase_url = ${toml(`${model}/v1`)}\nwire_api = "responses"`,
          `[mcp_servers.${SERVER}]`,
          ...(target.transport === "stdio"
            ? [
                `command = ${toml(target.command)}\nargs = ${toml(target.args)}`,
                `[mcp_servers.${SERVER}.env]`,
                ...Object.entries(target.env).map(([name, value]) => `${name} = ${toml(value)}`),
              ]
            : [`url = ${toml(target.url)}`]),
        ].join("\n"),
      },
    }),
  },
  {
    name: "opencode",
    from: "npm:opencode-ai@1.18.33",
    kind: "agent",
    isCore: true,
    start: (bin, target, { model }) => ({
      command: path.join(bin, "opencode"),
      args: ["run", "go"],
      files: {
        "work/opencode.json": JSON.stringify({
          model: "stub/stub",
          provider: {
            stub: {
              npm: "@ai-sdk/openai-compatible",
              options: { baseURL: `${model}/v1`, apiKey: "none" },
              models: { stub: { tool_call: true } },
            },
          },
          permission: "allow",
          autoupdate: false,
          share: "disabled",
          mcp: {
            [SERVER]:
              target.transport === "stdio"
                ? { type: "local", command: [target.command, ...target.args], environment: target.env }
                : { type: "remote", url: target.url },
          },
        }),
      },
      env: { OPENCODE_DISABLE_MODELS_FETCH: "1", OPENCODE_DISABLE_DEFAULT_PLUGINS: "1" },
    }),
  },
  {
    name: "Gemini CLI",
    from: "npm:@google/gemini-cli@0.61.0",
    kind: "agent",
    start: (bin, target, { model }) => ({
      command: path.join(bin, "gemini"),
      args: ["-p", "go", "--approval-mode", "yolo", "-m", "gemini-2.5-flash"],
      files: {
        ".gemini/settings.json": JSON.stringify({
          mcpServers: { [SERVER]: byKind(target, "httpUrl") },
          security: { auth: { selectedType: "gemini-api-key" } },
          privacy: { usageStatisticsEnabled: false },
          telemetry: { enabled: false },
          general: { enableAutoUpdate: false, disableAutoUpdate: true },
        }),
      },
      env: {
        GEMINI_API_KEY: "none",
        GOOGLE_GEMINI_BASE_URL: model,
        GEMINI_CLI_TRUST_WORKSPACE: "true",
      },
    }),
  },
  {
    name: "Qwen Code",
    from: "npm:@qwen-code/qwen-code@0.24.4",
    kind: "agent",
    start: (bin, target, { model }) => ({
      command: path.join(bin, "qwen"),
      args: [
        ...["-p", "go", "--approval-mode", "yolo", "--auth-type", "openai"],
        // Its model would look for tools first.
        ...["--exclude-tools", "tool_search"],
      ],
      files: {
        ".qwen/settings.json": JSON.stringify({
          mcpServers: { [SERVER]: byKind(target, "httpUrl") },
          privacy: { usageStatisticsEnabled: false },
          telemetry: { enabled: false },
          general: { enableAutoUpdate: false, disableAutoUpdate: true },
        }),
      },
      env: { OPENAI_API_KEY: "none", OPENAI_BASE_URL: `${model}/v1`, OPENAI_MODEL: "stub" },
    }),
  },
  {
    name: "Copilot CLI",
    from: "npm:@github/copilot@1.0.102",
    kind: "agent",
    start: (bin, target, { model }) => ({
      command: path.join(bin, "copilot"),
      args: ["-p", "go", "--allow-all-tools", "--no-color"],
      files: {
        ".copilot/mcp-config.json": mcpServers(
          target.transport === "stdio"
            ? { type: "local", ...local(target), tools: ["*"] }
            : { type: target.transport.toLowerCase(), url: target.url, tools: ["*"] },
        ),
      },
      env: {
        COPILOT_OFFLINE: "true",
        COPILOT_PROVIDER_BASE_URL: `${model}/v1`,
        COPILOT_PROVIDER_API_KEY: "none",
        COPILOT_MODEL: "stub",
        COPILOT_AUTO_UPDATE: "false",
      },
    }),
  },
  {
    name: "Python SDK",
    from: "pip:mcp==2.3.0",
    kind: "program",
    isCore: true,
    start: python("mcp_sdk.py"),
  },
  {
    name: "Go SDK",
    from: "go",
    kind: "program",
    start: (bin, target) => asked(path.join(bin, "matrix-go"), ["lines"], target),
  },
  { name: "TypeScript SDK 1", from: "ours", kind: "program", start: typescript("1") },
  { name: "TypeScript SDK 2", from: "ours", kind: "program", start: typescript("2") },
  { name: "FastMCP", from: "pip:fastmcp==4.2.3", kind: "program", start: python("fastmcp_client.py") },
  {
    name: "Pydantic AI",
    from: "pip:pydantic-ai-slim[mcp]==2.68.0",
    kind: "program",
    hearsNoChange: ["HTTP", "stdio"],
    start: python("pydantic_ai_tools.py"),
  },
  {
    name: "OpenAI Agents SDK",
    from: "pip:openai-agents==0.24.0",
    kind: "program",
    start: python("openai_agents.py"),
  },
  { name: "Strands", from: "pip:strands-agents==1.62.0", kind: "program", start: python("strands_tools.py") },
  {
    name: "Semantic Kernel",
    from: "pip:semantic-kernel[mcp]==1.45.0",
    kind: "program",
    start: python("semantic_kernel_plugin.py"),
  },
  {
    name: "mcp-use",
    from: "pip:mcp-use==1.7.1",
    kind: "program",
    start: python("mcp_use_client.py", { MCP_USE_ANONYMIZED_TELEMETRY: "false" }),
  },
];
