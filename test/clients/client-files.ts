// Files as clients write them, shaped as they are found on people's machines; each with what it should become here.
import type { ConfigTable } from "../../src/config/edit/edit-value.ts";

interface SampleFile {
  readonly what: string;
  /** Its name tells the format. */
  readonly file: string;
  readonly text: string;
  /** By backend name, in order; a `problem` is a part of why it is disabled. */
  readonly becomes: Readonly<Record<string, ConfigTable>>;
  readonly problems?: Readonly<Record<string, RegExp>>;
  readonly secrets?: Readonly<Record<string, string>>;
  readonly wanted?: readonly string[];
  readonly leftOver?: Readonly<Record<string, readonly string[]>>;
}

const TOKEN = "ghp_0123456789abcdefghijABCDEFGHIJ012345";
const json = (value: unknown): string => JSON.stringify(value, null, 2);
const servers = (entries: unknown): string => json({ mcpServers: entries });
const files = ["-y", "@modelcontextprotocol/server-filesystem", "/tmp"];

/** The environment that they are read in: HOME is /home/ann, and these are set. */
export const SAMPLE_ENVIRONMENT = {
  ...{ DOCS: "/srv/docs", REGION: "eu", TEAM: "t" },
  ...{ API_KEY: "k", NOTES_TOKEN: "n", FIGMA_TOKEN: "f", X_TOKEN: "x" },
};

export const SAMPLE_FILES: readonly SampleFile[] = [
  {
    what: "Claude Desktop: one program",
    file: "claude_desktop_config.json",
    text: servers({ files: { command: "npx", args: files } }),
    becomes: { files: { command: "npx", args: files } },
  },
  {
    what: "Claude Desktop: a token in env",
    file: "claude_desktop_config.json",
    text: servers({
      github: {
        command: "docker",
        args: ["run", "-i", "ghcr.io/github/github-mcp-server"],
        env: { GITHUB_PERSONAL_ACCESS_TOKEN: TOKEN },
      },
    }),
    becomes: {
      github: {
        command: "docker",
        args: ["run", "-i", "ghcr.io/github/github-mcp-server"],
        env: { GITHUB_PERSONAL_ACCESS_TOKEN: "secret:github-github-personal-access-token" },
      },
    },
    secrets: { "github-github-personal-access-token": TOKEN },
  },
  {
    what: "Claude Desktop: settings beside the servers",
    file: "claude_desktop_config.json",
    text: json({
      globalShortcut: "Ctrl+Space",
      mcpServers: { memory: { command: "npx", args: ["-y", "@modelcontextprotocol/server-memory"] } },
      theme: "dark",
    }),
    becomes: { memory: { command: "npx", args: ["-y", "@modelcontextprotocol/server-memory"] } },
  },
  {
    what: "Claude Desktop on Windows: cmd /c and a path there",
    file: "claude_desktop_config.json",
    text: servers({
      files: {
        command: "cmd",
        args: ["/c", "npx", "-y", "@modelcontextprotocol/server-filesystem", "C:\\Users\\ann\\Documents"],
      },
    }),
    becomes: {
      files: {
        command: "npx",
        args: ["-y", "@modelcontextprotocol/server-filesystem", "C:\\Users\\ann\\Documents"],
        enabled: false,
      },
    },
    problems: { files: /path of Windows/ },
  },
  {
    what: "Claude Desktop on Windows: cmd /c without a path",
    file: "claude_desktop_config.json",
    text: servers({
      memory: { command: "cmd.exe", args: ["/C", "npx", "-y", "@modelcontextprotocol/server-memory"] },
    }),
    becomes: { memory: { command: "npx", args: ["-y", "@modelcontextprotocol/server-memory"] } },
  },
  {
    what: "Claude Desktop: mcp-remote",
    file: "claude_desktop_config.json",
    text: servers({ linear: { command: "npx", args: ["-y", "mcp-remote", "https://mcp.linear.app/mcp"] } }),
    becomes: { linear: { url: "https://mcp.linear.app/mcp" } },
  },
  {
    what: "Claude Desktop: mcp-remote with a header whose value is in env",
    file: "claude_desktop_config.json",
    text: servers({
      crm: {
        command: "npx",
        args: ["mcp-remote@latest", "https://crm.example/mcp", "--header", "Authorization:${AUTH_HEADER}"],
        env: { AUTH_HEADER: `Bearer ${TOKEN}` },
      },
    }),
    becomes: {
      crm: {
        url: "https://crm.example/mcp",
        headers: { Authorization: "Bearer ${secret:crm-authorization}" },
      },
    },
    secrets: { "crm-authorization": TOKEN },
  },
  {
    what: "Claude Desktop: mcp-remote to an SSE address is that address",
    file: "claude_desktop_config.json",
    text: servers({
      old: { command: "npx", args: ["mcp-remote", "https://old.example/sse", "--transport", "sse-only"] },
    }),
    becomes: { old: { url: "https://old.example/sse" } },
  },
  {
    what: "Claude Desktop: mcp-remote with an option of its own stays what it is",
    file: "claude_desktop_config.json",
    text: servers({
      corp: {
        command: "npx",
        args: ["-y", "mcp-remote", "https://corp.example/mcp", "3334", "--auth-timeout", "60"],
      },
    }),
    becomes: {
      corp: {
        command: "npx",
        args: ["-y", "mcp-remote", "https://corp.example/mcp", "3334", "--auth-timeout", "60"],
      },
    },
  },
  {
    what: "Claude Desktop: a password in an argument",
    file: "claude_desktop_config.json",
    text: servers({
      pg: {
        command: "npx",
        args: ["-y", "@modelcontextprotocol/server-postgres", "postgresql://ann:geheim99@db/app"],
      },
    }),
    becomes: {
      pg: {
        command: "npx",
        args: ["-y", "@modelcontextprotocol/server-postgres", "postgresql://${secret:pg-argument}@db/app"],
      },
    },
    secrets: { "pg-argument": "ann:geheim99" },
  },
  {
    what: "Claude Code: types, http and headers",
    file: ".claude.json",
    text: servers({
      sentry: { type: "http", url: "https://mcp.sentry.dev/mcp" },
      api: {
        type: "http",
        url: "https://api.example/mcp",
        headers: { Authorization: `Bearer ${TOKEN}`, "X-Region": "eu" },
      },
      local: { type: "stdio", command: "/usr/local/bin/tool", args: [], env: {} },
    }),
    becomes: {
      sentry: { url: "https://mcp.sentry.dev/mcp" },
      api: {
        url: "https://api.example/mcp",
        headers: { Authorization: "Bearer ${secret:api-authorization}", "X-Region": "eu" },
      },
      local: { command: "/usr/local/bin/tool" },
    },
    secrets: { "api-authorization": TOKEN },
  },
  {
    what: "Claude Code: SSE",
    file: ".claude.json",
    text: servers({ asana: { type: "sse", url: "https://mcp.asana.com/sse" } }),
    becomes: { asana: { url: "https://mcp.asana.com/sse" } },
  },
  {
    what: "Claude Code: servers of the folder one stands in, and of none other",
    file: ".claude.json",
    text: json({
      numStartups: 7,
      projects: {
        "/work/app": { mcpServers: { here: { command: "here" } } },
        "/work": { mcpServers: { above: { command: "above" } } },
        "/work/app2": { mcpServers: { beside: { command: "beside" } } },
      },
      mcpServers: { user: { command: "user" } },
    }),
    becomes: {
      user: { command: "user" },
      here: { command: "here", cwd: "/work/app" },
      above: { command: "above", cwd: "/work" },
    },
  },
  {
    what: "Claude Code: .mcp.json with variables and defaults",
    file: ".mcp.json",
    text: servers({
      docs: {
        command: "docs-server",
        args: ["${DOCS}", "--port", "${PORT:-8123}"],
        env: { API_KEY: "${API_KEY}", LEVEL: "${LEVEL:-info}" },
      },
    }),
    becomes: {
      docs: {
        command: "docs-server",
        args: ["/srv/docs", "--port", "8123"],
        env: { API_KEY: "${API_KEY}", LEVEL: "info" },
      },
    },
  },
  {
    what: "Claude Code: a variable that is not set here, in an argument",
    file: ".mcp.json",
    text: servers({ docs: { command: "docs-server", args: ["${NOT_SET}"] } }),
    becomes: { docs: { command: "docs-server", args: ["(NOT_SET)"], enabled: false } },
    problems: { docs: /the variable NOT_SET is not set here/ },
  },
  {
    what: "Claude Code: variables that are not set here, for the program and in a header",
    file: ".mcp.json",
    text: servers({
      gh: { command: "gh-server", env: { GH_TOKEN: "${GH_TOKEN}" } },
      api: { url: "https://api.example/mcp", headers: { Authorization: "Bearer ${GH_TOKEN}" } },
    }),
    becomes: {
      gh: { command: "gh-server", enabled: false, env: { GH_TOKEN: "secret:gh-gh-token" } },
      api: {
        url: "https://api.example/mcp",
        enabled: false,
        headers: { Authorization: "Bearer ${secret:api-gh-token}" },
      },
    },
    problems: { gh: /the variable GH_TOKEN is not set here/, api: /the variable GH_TOKEN is not set here/ },
    wanted: ["gh-gh-token", "api-gh-token"],
  },
  {
    what: "Claude Code: a secret variable in an argument",
    file: ".mcp.json",
    text: servers({ x: { command: "x", args: ["--key", "${API_KEY:-none}"] } }),
    becomes: { x: { command: "x", args: ["--key", "${secret:x-api-key}"] } },
    secrets: { "x-api-key": "k" },
  },
  {
    what: "Cursor: a program and an address",
    file: "mcp.json",
    text: servers({
      shadcn: { command: "npx", args: ["shadcn@latest", "mcp"] },
      figma: { url: "http://127.0.0.1:3845/mcp" },
    }),
    becomes: {
      shadcn: { command: "npx", args: ["shadcn@latest", "mcp"] },
      figma: { url: "http://127.0.0.1:3845/mcp" },
    },
  },
  {
    what: "Cursor: variables of its own",
    file: "mcp.json",
    text: servers({
      notes: { command: "notes", args: ["${userHome}/notes"], env: { TOKEN: "${env:NOTES_TOKEN}" } },
    }),
    becomes: { notes: { command: "notes", args: ["/home/ann/notes"], env: { TOKEN: "${NOTES_TOKEN}" } } },
  },
  {
    what: "Cursor: the folder of a workspace",
    file: "mcp.json",
    text: servers({
      repo: { command: "git-server", args: ["${workspaceFolder}"], envFile: "${workspaceFolder}/.env" },
    }),
    becomes: { repo: { command: "git-server", args: ["FOLDER"] } },
    leftOver: { repo: ['envFile = "${workspaceFolder}/.env"'] },
  },
  {
    what: "VS Code: servers, and inputs that become secrets",
    file: "mcp.json",
    text: json({
      inputs: [{ type: "promptString", id: "perplexity-key", description: "Key", password: true }],
      servers: {
        perplexity: {
          type: "stdio",
          command: "npx",
          args: ["-y", "server-perplexity-ask"],
          env: { PERPLEXITY_API_KEY: "${input:perplexity-key}" },
        },
      },
    }),
    becomes: {
      perplexity: {
        command: "npx",
        args: ["-y", "server-perplexity-ask"],
        env: { PERPLEXITY_API_KEY: "secret:perplexity-perplexity-key" },
      },
    },
    wanted: ["perplexity-perplexity-key"],
  },
  {
    what: "VS Code: comments and trailing commas",
    file: "mcp.json",
    text: '// mine\n{\n\t"servers": {\n\t\t/* local */ "time": { "command": "uvx", "args": ["mcp-server-time",], },\n\t},\n}\n',
    becomes: { time: { command: "uvx", args: ["mcp-server-time"] } },
  },
  {
    what: "VS Code: its settings of before",
    file: "settings.json",
    text: json({
      "editor.fontSize": 14,
      mcp: { servers: { fetch: { command: "uvx", args: ["mcp-server-fetch"] } } },
    }),
    becomes: { fetch: { command: "uvx", args: ["mcp-server-fetch"] } },
  },
  {
    what: "VS Code: an address with headers, and a folder to start in",
    file: "mcp.json",
    text: json({
      servers: {
        gh: {
          type: "http",
          url: "https://api.githubcopilot.com/mcp/",
          headers: { "X-MCP-Toolsets": "repos" },
        },
        local: { command: "tool", cwd: "/srv/tool" },
      },
    }),
    becomes: {
      gh: { url: "https://api.githubcopilot.com/mcp/", headers: { "X-MCP-Toolsets": "repos" } },
      local: { command: "tool", cwd: "/srv/tool" },
    },
  },
  {
    what: "Zed: a program in a table of its own",
    file: "settings.json",
    text: '{\n  // theme\n  "theme": "One Dark",\n  "context_servers": {\n    "pg": { "command": { "path": "/opt/pg", "args": ["--ro"], "env": {"REGION": "eu"} }, "settings": {} },\n  }\n}\n',
    becomes: { pg: { command: "/opt/pg", args: ["--ro"], env: { REGION: "eu" } } },
    leftOver: { pg: ["settings = {}"] },
  },
  {
    what: "Zed: as it is now, one disabled",
    file: "settings.json",
    text: json({
      context_servers: {
        a: { source: "custom", command: "a", args: ["x"], env: {} },
        b: { source: "custom", enabled: false, command: "b", args: [] },
        r: { url: "https://r.example/mcp", headers: {} },
      },
    }),
    becomes: {
      a: { command: "a", args: ["x"] },
      b: { command: "b", enabled: false },
      r: { url: "https://r.example/mcp" },
    },
  },
  {
    what: "Codex: programs with time limits",
    file: "config.toml",
    text: 'model = "gpt"\n\n[mcp_servers.docs]\ncommand = "npx"\nargs = ["-y", "docs"]\nstartup_timeout_sec = 20\ntool_timeout_sec = 90.5\nenabled_tools = ["search"]\n',
    becomes: {
      docs: {
        command: "npx",
        args: ["-y", "docs"],
        timeouts: { init: 20, call: 90.5 },
        filters: { tools: { allow: ["search"] } },
      },
    },
  },
  {
    what: "Codex: an address with a token from the environment",
    file: "config.toml",
    text: '[mcp_servers.figma]\nurl = "https://mcp.figma.com/mcp"\nbearer_token_env_var = "FIGMA_TOKEN"\nhttp_headers = { "X-Region" = "eu" }\n[mcp_servers.figma.env_http_headers]\n"X-Team" = "TEAM"\n',
    becomes: {
      figma: {
        url: "https://mcp.figma.com/mcp",
        headers: { Authorization: "Bearer ${FIGMA_TOKEN}", "X-Team": "${TEAM}", "X-Region": "eu" },
      },
    },
  },
  {
    what: "Codex: variables that are passed on, and disabled",
    file: "config.toml",
    text: '[mcp_servers.x]\ncommand = "x"\nenv_vars = ["X_TOKEN"]\nenabled = false\ncwd = "/srv"\n[mcp_servers.x.env]\nA = "1"\n',
    becomes: { x: { command: "x", cwd: "/srv", enabled: false, env: { X_TOKEN: "${X_TOKEN}", A: "1" } } },
  },
  {
    what: "Windsurf: serverUrl, disabled tools",
    file: "mcp_config.json",
    text: servers({
      remote: { serverUrl: "https://r.example/mcp", disabledTools: ["wipe"], disabled: true },
      local: { command: "l", args: [] },
    }),
    becomes: {
      remote: { url: "https://r.example/mcp", enabled: false, filters: { tools: { deny: ["wipe"] } } },
      local: { command: "l" },
    },
  },
  {
    what: "Gemini CLI: httpUrl, trust, milliseconds",
    file: "settings.json",
    text: json({
      mcpServers: {
        api: {
          httpUrl: "https://api.example/mcp",
          timeout: 30000,
          trust: true,
          includeTools: ["a"],
          excludeTools: ["b"],
        },
      },
      selectedAuthType: "x",
    }),
    becomes: {
      api: {
        url: "https://api.example/mcp",
        timeouts: { call: 30 },
        filters: { tools: { allow: ["a"], deny: ["b"] } },
      },
    },
    leftOver: { api: ["trust = true"] },
  },
  {
    what: "mcp-hub: variables from the environment, and a watch for development",
    file: "servers.json",
    text: servers({
      hub: {
        command: "node",
        args: ["server.js"],
        cwd: "/srv/hub",
        env: { API_KEY: null, REGION: "${REGION}" },
        dev: { watch: ["src/**"] },
      },
    }),
    becomes: {
      hub: {
        command: "node",
        args: ["server.js"],
        cwd: "/srv/hub",
        env: { API_KEY: "${API_KEY}", REGION: "${REGION}" },
      },
    },
    leftOver: { hub: ['dev = {"watch":["src/**"]}'] },
  },
  {
    what: "mcp-hub: the output of a command",
    file: "servers.json",
    text: servers({ hub: { command: "h", env: { TOKEN: "${cmd: op read op://x/y}" } } }),
    becomes: { hub: { command: "h", enabled: false, env: { TOKEN: "$${cmd: op read op://x/y}" } } },
    problems: { hub: /means something to the client alone/ },
  },
  {
    what: "1MCP: tags, limits in milliseconds",
    file: "mcp.json",
    text: servers({
      one: {
        command: "o",
        args: [],
        tags: ["web"],
        connectionTimeout: 5000,
        requestTimeout: 120000,
        disabled: false,
      },
    }),
    becomes: { one: { command: "o", timeouts: { init: 5, call: 120 } } },
    leftOver: { one: ['tags = ["web"]'] },
  },
  {
    what: "Cline: seconds",
    file: "cline_mcp_settings.json",
    text: servers({ one: { command: "o", timeout: 60 } }),
    becomes: { one: { command: "o", timeouts: { call: 60 } } },
  },
  {
    what: "what decides about a program in a form that is not understood",
    file: "mcp.json",
    text: servers({
      line: { command: "rm", args: "-r /tmp/x" },
      off: { command: "o", disabled: "true" },
      nothing: { command: "n", args: null, cwd: "", env: null },
    }),
    becomes: {
      line: { command: "rm", enabled: false },
      off: { command: "o", enabled: false },
      nothing: { command: "n" },
    },
    problems: { line: /its args is not understood/, off: /its disabled is not understood/ },
    leftOver: {
      line: ['args = "-r /tmp/x"'],
      off: ['disabled = "true"'],
      nothing: ["args = null", 'cwd = ""', "env = null"],
    },
  },
  {
    what: "names that cannot be names here",
    file: "mcp.json",
    text: servers({
      "My Server (local)": { command: "a" },
      "1password": { command: "b" },
      "@scope/pkg": { command: "c" },
    }),
    becomes: {
      "My-Server-local": { command: "a" },
      "mcp-1password": { command: "b" },
      "scope-pkg": { command: "c" },
    },
  },
  {
    what: "numbers and truth values without quotes",
    file: "mcp.json",
    text: servers({ x: { command: "x", args: ["--port", 8080], env: { DEBUG: true, LEVEL: 3 } } }),
    becomes: { x: { command: "x", args: ["--port", "8080"], env: { DEBUG: "true", LEVEL: "3" } } },
  },
  {
    what: "a program and its arguments as one list",
    file: "mcp.json",
    text: servers({ x: { command: ["uvx", "tool"], args: ["--ro"] } }),
    becomes: { x: { command: "uvx", args: ["tool", "--ro"] } },
  },
  {
    what: "entries that say nothing",
    file: "mcp.json",
    text: servers({ empty: {}, text: "npx", list: ["npx"], none: null, real: { command: "r" } }),
    becomes: { real: { command: "r" } },
  },
  {
    what: "a byte order mark and lines that end as on Windows",
    file: "mcp.json",
    text: `\ufeff${servers({ x: { command: "x" } }).replaceAll("\n", "\r\n")}`,
    becomes: { x: { command: "x" } },
  },
  {
    what: "a text with a dollar and a brace that is no variable",
    file: "mcp.json",
    text: servers({ x: { command: "x", env: { FORMAT: "a${" } } }),
    becomes: { x: { command: "x", env: { FORMAT: "a$${" } } },
  },
  {
    what: "the same secret name twice",
    file: "mcp.json",
    text: servers({
      "a b": { command: "x", env: { API_KEY: `${TOKEN}1` } },
      "a-b": { command: "y", env: { API_KEY: `${TOKEN}2` } },
    }),
    becomes: {
      "a-b": { command: "x", env: { API_KEY: "secret:a-b-api-key" } },
      "a-b-mcp-json": { command: "y", env: { API_KEY: "secret:a-b-api-key-2" } },
    },
    secrets: { "a-b-api-key": `${TOKEN}1`, "a-b-api-key-2": `${TOKEN}2` },
  },
  {
    what: "a secret in an address",
    file: "mcp.json",
    text: servers({ x: { url: "https://x.example/mcp?api_key=abcdef0123456789abcdef" } }),
    becomes: { x: { url: "https://x.example/mcp?api_key=${secret:x-url}" } },
    secrets: { "x-url": "abcdef0123456789abcdef" },
  },
  { what: "an empty file", file: "mcp.json", text: "", becomes: {} },
  { what: "a file without servers", file: "settings.json", text: '{"theme": "dark"}\n', becomes: {} },
];
