import assert from "node:assert/strict";
import { symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import test from "node:test";
import { clientFolderFindings } from "../../../src/config/read/client-folder-rules.ts";
import { temporaryFolder } from "../../support/temporary-folder.ts";

/** What is said of a command line whose server starts in the client's folder; empty: nothing. */
function said(line: string): string[] {
  const [command = "", ...args] = line.split(" ").map((word) => word.replaceAll("␣", " "));
  const server = { command, args, cwd: "client" };
  const at = ["backends", "x"];
  return clientFolderFindings(server, at, { ...server, instances: "per-client" }, null).map(
    ({ path, found, hint }) => `${path.join(".")}: ${found} ${hint}`,
  );
}

const MISTAKES = [
  "npx -y tsx ./server.ts",
  "npx tsx /opt/server.ts",
  "npx -y npm@11 run mcp",
  "npx bun run server.ts",
  "npx -y nodemon",
  "npx ts-node-esm server.ts",
  "npx -y vite-node /opt/x.ts",
  "npx @babel/node /opt/x.js",
  "npx -p npm npm run x",
  "npx --package=typescript --package=tsx server",
  "npx node server.js",
  "npx -y cross-env A=1 server",
  "npx concurrently server",
  "npx ./server",
  "npx . start",
  "npx -p ./tools server",
  "npx file:../server",
  "uvx python server.py",
  "uvx python@3.12 server.py",
  "uvx --from uv uv run server.py",
  "uvx --from invoke==2.2 inv mcp",
  "uvx --with nox server",
  "uvx invoke mcp",
  "uvx nox",
  "uvx tox",
  "uvx fabric deploy",
  "uvx pytest",
  "uvx ipython",
  "uvx uvicorn app:app",
  "python3 -m runpy server.py",
  "python3 -m pdb server.py",
  "python3 -m pip install .",
  "python3 -m venv x",
  "python3 -m timeit import␣x",
  "python -m cProfile server.py",
  "python3 /usr/lib/python3.13/pdb.py x",
  "node /usr/lib/node_modules/npm/bin/npm-cli.js run mcp",
  "node /usr/lib/node_modules/tsx/dist/cli.mjs server.ts",
  "npm run mcp",
  "sh x.sh",
  "env node server.js",
  "make mcp",
  "node server.js",
  "python3 server.py",
  "npx -y mcp-proxy src/server.ts",
  "npx -y mcp-server --config=./x.json",
  "uvx mcp-server-git --repository .",
  "/opt/bin/server ../x",
];

const SERVERS = [
  "npx -y @modelcontextprotocol/server-filesystem ${client:cwd}",
  "npx -y @modelcontextprotocol/server-filesystem@2025.8.21 ${client:cwd}/src",
  "npx -y @modelcontextprotocol/server-memory",
  "npx -y @modelcontextprotocol/server-postgres postgresql://localhost/x",
  "npx -y mcp-remote https://mcp.linear.app/sse --header Authorization:Bearer␣x",
  "npx @playwright/mcp@latest --browser chrome --headless",
  "npx -y @upstash/context7-mcp --api-key KEY",
  "npx -y --package=@sentry/mcp-server mcp-server-sentry",
  "npx -p @scope/a @scope/b --stdio",
  "npx -y chrome-devtools-mcp@latest --isolated=true",
  "npx -y firecrawl-mcp",
  "npx -y github:owner/server",
  "uvx mcp-server-git --repository ${client:cwd}",
  "uvx mcp-server-fetch --ignore-robots-txt",
  "uvx mcp-server-sqlite --db-path /var/x.db",
  "uvx --from git+https://github.com/oraios/serena serena start-mcp-server --project ${client:cwd}",
  "uvx --from mcp-server-time==1.0 mcp-server-time --local-timezone Europe/Berlin".replace(
    " --local-timezone Europe/Berlin",
    "",
  ),
  "uvx --python 3.12 awslabs.core-mcp-server@latest",
  "python3 -m mcp_server_git --repository ${client:cwd}",
  "python3 -I /opt/servers/task/server.py",
  "node /opt/servers/run/index.js --root ${client:cwd}",
  "node /usr/lib/node_modules/@modelcontextprotocol/server-everything/dist/index.js",
  "/opt/bin/github-mcp-server stdio",
  "docker run -i --rm time",
];

test("D7 a program, package or module that runs others is an error wherever its name is, and the error names the argument", () => {
  for (const line of MISTAKES) {
    const findings = said(line);
    assert.equal(findings.length, 1, line);
    assert.match(findings[0] ?? "", /^backends\.x\.(?:command|args\.\d+): /, line);
  }
  assert.match(said("npx -y tsx ./server.ts")[0] ?? "", /^backends\.x\.args\.1: .*tsx.*runs other programs/);
  assert.match(said("uvx mcp-server-git .")[0] ?? "", /args\.1: .*\$\{client:cwd\}/);
});

test("D7 common servers may run in the client's folder", () => {
  for (const line of SERVERS) assert.deepEqual(said(line), [], line);
});

test("D7 a link to a program that runs others counts as one", async (t) => {
  const folder = await temporaryFolder(t);
  await writeFile(join(folder, "npm"), "");
  await symlink(join(folder, "npm"), join(folder, "server"));
  assert.equal(said(join(folder, "server")).length, 1);
  assert.equal(said(`node ${join(folder, "server")}`).length, 1);
});
