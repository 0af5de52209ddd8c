// Every command line that the documents show is run as it stands there, and ends as people would expect.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { access, glob, mkdir, readFile, writeFile } from "node:fs/promises";
import { join, relative, resolve } from "node:path";
import test from "node:test";
import { COMMANDS } from "../../src/cli/program/command-list.ts";
import { splitArgs } from "../../src/config/edit/new-backend.ts";
import { collect } from "../support/collect.ts";
import { needsProcess, runInProcess } from "../support/command-in-process.ts";
import { createTestHome, type Monitor, type TestHome } from "../support/daemon.ts";
import { eventually } from "../support/eventually.ts";
import { freePort } from "../support/free-port.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";
import { programMissing } from "../sync/programs.ts";

const ROOT = resolve(import.meta.dirname, "../..");
const TOOLS_SERVER = join(import.meta.dirname, "programs/tools-server.mjs");
const COMMAND_DEADLINE_MS = 120_000;

/** What becomes of a line. */
type Expectation =
  /** Run where a daemon keeps the shares CORE and MEDIA mounted, or in a home without one. */
  | {
      readonly on: "running" | "alone";
      readonly code?: number;
      readonly says: RegExp;
      /** Programs, by their names. */
      readonly needs?: string;
    }
  /** Starts a daemon, which serves and ends by SIGTERM. */
  | { readonly on: "own"; readonly args: readonly string[] }
  /** Proved there, or by those who run it before any test: why it is not run here. */
  | { readonly elsewhere: string };

const running = (says: RegExp, code = 0): Expectation => ({ on: "running", says, code });
const alone = (says: RegExp, code = 0): Expectation => ({ on: "alone", says, code });
const elsewhere = (file: string, ...lines: readonly string[]): Record<string, Expectation> =>
  Object.fromEntries(lines.map((line) => [line, { elsewhere: file }]));
const NEEDS_TERMINAL = /terminal/i;

/** In the order in which they are run: later ones may find what earlier ones left. */
const EXPECTED: Readonly<Record<string, Expectation>> = {
  ...elsewhere(
    ".ci/run",
    "npm ci",
    'export PATH="$PWD/bin:$PATH"',
    "npm ci && npm test",
    "npm ci && npm run demo",
    "npm run release -- rehearse",
  ),
  ...elsewhere(
    ".ci/nightly",
    "npm run release -- rehearse --roots",
    "npm run bench -- --short",
    "npm run bench -- balanced",
  ),
  ...elsewhere(
    "scripts/release/root-story.sh",
    "sudo wget -qO /etc/apt/sources.list.d/mountaineer.sources https://OWNER.github.io/NAME/mountaineer.sources",
    "sudo apt update && sudo apt install mountaineer",
    "sudo curl -fsSLo /etc/yum.repos.d/mountaineer.repo https://OWNER.github.io/NAME/mountaineer.repo",
    "sudo dnf install mountaineer",
  ),
  ...elsewhere(
    "scripts/release/play-image.sh",
    "docker build -t mountaineer -f Dockerfile --build-arg VERSION=X.Y.Z FOLDER-WITH-THE-DEB",
    "docker run -d --name mountaineer --read-only --tmpfs /tmp -v mountaineer:/data -e AGENT_TOKEN -p 127.0.0.1:9000:9000 mountaineer",
    "docker exec mountaineer mountaineer status",
  ),
  ...elsewhere(
    "scripts/release/rehearsal-keys.ts",
    'gpg --quick-generate-key "Mountaineer packages <ADDRESS>" ed25519 sign never',
    "gpg --armor --export-secret-keys ADDRESS > archive-signing-key.asc",
    "gpg --armor --export ADDRESS > archive-key.asc",
    "openssl genpkey -algorithm ed25519 -out signing-key.pem",
    "openssl pkey -in signing-key.pem -pubout -outform DER | tail -c 32 | openssl base64",
  ),
  ...elsewhere(
    "scripts/release/check.sh",
    "openssl pkeyutl -verify -rawin -pubin -inkey release-key.pem -in SHA256SUMS -sigfile SHA256SUMS.sig",
    "sha256sum --check --ignore-missing SHA256SUMS",
  ),
  // docs/project/releasing.md lists it as untried.
  ...elsewhere(
    ".github/workflows/release.yml",
    "gh attestation verify mountaineer-VERSION-PLATFORM.run --repo OWNER/NAME",
  ),
  ...elsewhere(
    "bin/with-node",
    "export MOUNTAINEER_HOME=/tmp/mountaineer-debug MOUNTAINEER_LOG=debug",
    "bin/with-node --inspect src/cli/main.ts monitor",
  ),
  ...elsewhere("docs/reference/containers.md", 'sudo install -d -o "$USER" /srv/shares'),
  ...elsewhere("test/shares/drivers/fs/fs.test.ts", "echo user_allow_other | sudo tee -a /etc/fuse.conf"),

  "mountaineer monitor": { on: "own", args: [] },
  "mountaineer monitor --interval 0.5": { on: "own", args: ["--interval", "0.5"] },
  "mountaineer monitor --unmount-on-exit": { on: "own", args: ["--unmount-on-exit"] },
  "mountaineer demo": { elsewhere: "test/demo/live/live.test.ts" },
  "mountaineer demo --script": { elsewhere: "test/demo/story/script-smb.test.ts" },
  "mountaineer demo --script --driver local": { elsewhere: "test/demo/story/script-local.test.ts" },

  "mountaineer backends add --registry io.github.example/fetch": {
    elsewhere: "test/cli/clients/registry.test.ts",
  },
  ...elsewhere(
    "test/cli/clients/people-commands.test.ts",
    "mountaineer clients approve 7K4-9QX",
    "mountaineer clients approve 7K4-9QX --as ann --server github --read-only",
    "mountaineer clients list",
    "mountaineer clients revoke 4e07c29b81fa",
    "mountaineer clients revoke 4e07c29b81fa --read-only",
    "mountaineer users add ann --role dev",
    "mountaineer users add ben --role reader",
    "mountaineer users list",
    "mountaineer users renew ann --overlap 24",
    "mountaineer users remove ann",
    "mountaineer questions",
    "mountaineer answer 7K4-9QX",
    "mountaineer access ben",
    "mountaineer access ben --tool delete_file",
    "mountaineer access --role dev",
  ),
  "mountaineer program install ./mountaineer-fs": alone(/cannot be read/, 1),
  "mountaineer import claude": { elsewhere: "test/cli/clients/client-commands.test.ts" },
  "mountaineer import": { elsewhere: "test/cli/clients/client-commands.test.ts" },
  "mountaineer import ./mcp.json --yes": { elsewhere: "test/clients/connect.test.ts" },
  "mountaineer import ./mcp.json --only files --dry-run": {
    elsewhere: "test/cli/clients/client-commands.test.ts",
  },
  "mountaineer connect claude": { elsewhere: "test/cli/clients/client-commands.test.ts" },
  "mountaineer connect claude --undo": { elsewhere: "test/cli/clients/client-commands.test.ts" },
  "mountaineer connect cursor --print": alone(/"mcpServers"[\s\S]*"mountaineer"/),

  ...elsewhere(
    "test/lab/server-side.test.ts",
    "mountaineer copy ~/Shares/CORE/film.mkv ~/Shares/MEDIA/",
    "mountaineer versions ~/Shares/CORE/report.odt",
    "mountaineer restore ~/Shares/CORE/report.odt --from 2026-11-28",
    "mountaineer restore report.odt --from 2026-11-28T22:00:00Z --to old.odt",
    "mountaineer when --share CORE --route thunderbolt --within 2h -- rsync -a ~/Photos ~/Shares/CORE/",
    "mountaineer when --share CORE --route tb --pause -- restic backup ~",
  ),
  "mountaineer status": running(/CORE[\s\S]*MEDIA/),
  "mountaineer why CORE": running(/^CORE \(share\) {2}mounted/),
  "mountaineer why files": running(/^files/),
  "mountaineer why files --json": { elsewhere: "test/cli/sessions/why.test.ts" },
  "mountaineer status --json | jq -r '.shares[] | select(.mount_alive | not) | .name'": {
    on: "running",
    says: /^$/,
    needs: "jq",
  },
  "mountaineer verify": running(/everything is as it should be/),
  "mountaineer verify --login": running(/everything is as it should be/),
  "mountaineer verify --share CORE --json": running(/"ok": true/),
  "mountaineer reconcile": running(/CORE[\s\S]*MEDIA/),
  "mountaineer reconcile --share CORE --share MEDIA": running(/CORE[\s\S]*MEDIA/),
  "mountaineer unmount": running(/CORE\s+unmounted[\s\S]*MEDIA\s+unmounted/),
  // With one: test/daemon/fleet-part.test.ts.
  "mountaineer fleet status": running(/this machine is in no fleet/, 1),
  "mountaineer fleet status nas": running(/this machine is in no fleet/, 1),
  "mountaineer fleet status --json | jq -r '.machines[] | select(.presence != \"here\") | .name'": {
    elsewhere: "test/fleet/fleet.test.ts",
  },
  "mountaineer fleet key": { elsewhere: "test/cli/commands/fleet.test.ts" },
  "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 7300 -subj /CN=fleet -addext subjectAltName=DNS:nas.local,IP:192.168.1.5 -keyout server.key -out ca.pem":
    { elsewhere: "test/fleet/own-server.ts" },
  "mountaineer mount": running(/CORE[\s\S]*MEDIA/),
  "mountaineer mount --share CORE": running(/CORE/),
  "mountaineer unmount --share CORE": running(/CORE\s+unmounted/),
  "mountaineer unmount --share CORE --force": running(/CORE/),
  "mountaineer wake": running(/CORE[\s\S]*MEDIA/),
  "mountaineer wake --share CORE": running(/CORE/),
  "mountaineer switch --share CORE --to tb": running(/CORE/),
  "mountaineer switch --share CORE --to tb --wait": running(/CORE/),
  "mountaineer switch --to fallback": running(/CORE[\s\S]*MEDIA/),
  "mountaineer switch --to auto": running(/CORE[\s\S]*MEDIA/),
  // Of a monitor that no service keeps; the handover itself: test/mcp/handover.test.ts.
  "mountaineer restart": running(/no service keeps it/, 1),
  "mountaineer reload": running(/runs already/),
  "mountaineer reload --dry-run": running(/runs already[\s\S]*stay\s+CORE, MEDIA/),
  "mountaineer config get global.check_interval_secs": running(/^0\.3\n$/),
  "mountaineer config get lsof-recheck": running(/^true\n$/),
  "mountaineer config set global.check_interval_secs 0.5": running(/0\.5/),
  "mountaineer config set lsof-recheck off": running(/lsof_recheck/),
  "mountaineer config set auto-failback on": running(/auto_failback/),
  "mountaineer config unset sync.detection": running(/sync\.detection/),
  "mountaineer config show": running(/auto_failback = true/),
  "mountaineer config show --effective": running(/lsof_recheck/),
  "mountaineer config show --effective --json | jq .global.check_interval_secs": {
    on: "running",
    says: /^0\.5\n$/,
    needs: "jq",
  },
  "mountaineer config validate": running(/config\.toml/),
  "mountaineer config validate - < draft.toml": running(/-:2:1[\s\S]*did you mean/, 3),
  "mountaineer config validate draft.toml": running(/draft\.toml:2:1[\s\S]*did you mean/, 3),
  'less "$(mountaineer config path)"': { on: "running", says: /\[\[shares\]\]/, needs: "less" },
  "mountaineer config schema > config.schema.json": running(/^$/),
  "mountaineer config history": running(/0 [\s\S]*started/),
  "mountaineer config history --json | jq -r '.[0].sha256'": {
    on: "running",
    says: /^[0-9a-f]{64}\n$/,
    needs: "jq",
  },
  "mountaineer approve": alone(/nothing waits for approval/),
  "mountaineer approve files": alone(/nothing called "files" waits/, 2),
  "mountaineer approve --list": running(/nothing waits for approval/),
  "mountaineer approve --mode none": alone(NEEDS_TERMINAL, 2),
  "mountaineer config diff": running(/^[-+]/m),
  "mountaineer config diff 0": running(/^$/),
  "mountaineer config rollback": running(/./),
  "mountaineer config rollback 0 --yes": running(/./),
  "mountaineer config unset global.check_interval_secs": running(/check_interval_secs/),
  "mountaineer backends list": running(/files\s+Ready/),
  "mountaineer backends list --json | jq -r '.backends[] | select(.phase != \"Ready\") | .name'": {
    on: "running",
    says: /^$/,
    needs: "jq",
  },
  "mountaineer tools list": running(/echo\s+files/),
  "mountaineer tools diff": running(/^$/),
  "mountaineer tools diff read_file": running(/^$/),
  "mountaineer tools diff files:read_file": running(/^$/),
  "mountaineer tools approve read_file": running(/nothing called read_file waits/, 2),
  "mountaineer tools approve files:instructions": running(/nothing called \S+ waits/, 2),
  "mountaineer tools approve --backend files": running(/^$/),
  "mountaineer tools disable delete_file": running(/delete_file/, 2),
  "mountaineer tools enable delete_file": running(/delete_file/, 2),
  "mountaineer clients": running(/^$|^Client +User/),
  "mountaineer clients --json | jq -r '.clients[] | select(.last_error != null) | .name'": {
    on: "running",
    says: /^$/,
    needs: "jq",
  },
  "mountaineer tools approve --all": running(/^$/),
  "mountaineer tools list --json | jq '.tools[] | {name, input_schema}'": {
    on: "running",
    says: /"name": "echo"/,
    needs: "jq",
  },
  [`mountaineer call echo '{"message": "hello"}'`]: running(/^hello\n$/),
  [`mountaineer call read_text_file '{"path": "/tmp/notes.txt"}'`]: running(/what stands in/),
  "mountaineer call search - < query.json": running(/^found everything\n$/),
  [`mountaineer call get-sum '{"a": 1, "b": 2}' --json | jq .content`]: {
    on: "running",
    says: /"text": "3"/,
    needs: "jq",
  },
  "mountaineer run report.ts": running(/^3\n$/),
  "mountaineer run - < report.ts": running(/^3\n$/),
  "mountaineer run report.ts --json | jq .structuredContent.result": {
    on: "running",
    says: /^"3"\n$/,
    needs: "jq",
  },
  "mountaineer users secret set --owner tickets": running(/the value is empty/, 2),
  "mountaineer users secret set ben tickets": running(/there is no user ben/, 2),
  "mountaineer users secret set ben github": running(/there is no user ben/, 2),
  "mountaineer secret set nas": running(/the value is empty/, 2),
  "mountaineer secret set token --in file < token.txt": running(/token is stored: secrets\.json/),
  "mountaineer secret set key --file key.pem": running(/no such file/, 2),
  "openssl rand -base64 32 | mountaineer secret set session-key": {
    on: "running",
    says: /session-key is stored/,
    needs: "openssl",
  },
  "mountaineer secret list": running(/token +secrets\.json \(0600\) {2}not used/),
  "mountaineer secret list --json | jq -r '.secrets[] | select(.kept == null) | .name'": {
    on: "running",
    says: /^$/,
    needs: "jq",
  },
  "mountaineer secret remove nas": running(/no secret nas is stored/, 2),
  "mountaineer doctor": alone(/neither host answers[\s\S]*\d errors?/, 1),
  "mountaineer doctor --json | jq -r '.findings[] | select(.severity == \"error\") | .code'": {
    on: "alone",
    says: /not_mounted/,
    needs: "jq",
  },
  // It fails where something is missing that shares need.
  "mountaineer doctor --self-test": {
    on: "running",
    says: /^pass {2}durable files/m,
    needs: "ip",
  },
  "mountaineer doctor --report report.md": running(/report\.md/),
  "mountaineer init": alone(/is there already/, 9),
  "mountaineer init --share CORE --tb-host 10.10.10.1 --fallback-host nas.local --username ann --password secret:nas":
    alone(/is there already/, 9),
  "mountaineer init --add --backend documents --command 'npx -y @modelcontextprotocol/server-filesystem /tmp'":
    alone(/is changed: documents/),
  "mountaineer init --add --token": alone(/says already who may come in/, 2),
  "mkdir -p ~/.local/share/bash-completion/completions ~/.zfunc ~/.config/fish/completions": alone(/^$/),
  "mountaineer completions bash > ~/.local/share/bash-completion/completions/mountaineer": alone(/^$/),
  "mountaineer completions zsh > ~/.zfunc/_mountaineer": alone(/^$/),
  "mountaineer completions fish > ~/.config/fish/completions/mountaineer.fish": alone(/^$/),
  "mountaineer up --print": alone(/^KillMode=process$/m),
  "mountaineer up": { elsewhere: "test/cli/service/service.test.ts" },
  "mountaineer down": { elsewhere: "test/cli/service/service.test.ts" },
  "mountaineer backup home.backup": alone(NEEDS_TERMINAL, 2),
  "mountaineer backup home.backup --stop": alone(NEEDS_TERMINAL, 2),
  "mountaineer backup restore home.backup": alone(NEEDS_TERMINAL, 2),
  "mountaineer uninstall --purge": { elsewhere: "test/nightly/bundle.test.ts" },
  "mountaineer uninstall": { elsewhere: "test/cli/service/service.test.ts" },
  "mountaineer backends logs files": running(/^ready$/m),
  "mountaineer backends logs files | tail -5": running(/^ready$/m),
  [`echo '{"jsonrpc":"2.0","id":1,"method":"ping"}' | mountaineer mcp`]: running(/"id":1,"result":\{\}/),
  "mountaineer backends restart files": running(/files/),
  "mountaineer switch --backend files --to lan": {
    elsewhere: "test/cli/program/plain-commands.test.ts",
  },
  "mountaineer switch --backend files --to auto": {
    elsewhere: "test/cli/program/plain-commands.test.ts",
  },
  "mountaineer backends restart --all": running(/files/),
  "mountaineer backends login tickets": { elsewhere: "test/cli/program/plain-commands.test.ts" },
  "mountaineer backends login tickets --as ben": { elsewhere: "test/cli/clients/account-sign-in.test.ts" },
  "mountaineer backends login tickets --no-browser": { elsewhere: "test/cli/program/plain-commands.test.ts" },
  "mountaineer backends logout tickets": { elsewhere: "test/cli/program/plain-commands.test.ts" },
  "mountaineer backends add files -- npx -y @modelcontextprotocol/server-filesystem ~/Documents": running(
    /there is a server called files/,
    2,
  ),
  "mountaineer backends enable files": running(/says so already[\s\S]*is ready/),
  "mountaineer backends disable files": running(/files {2}is disabled/),
  "mountaineer backends edit files -- npx -y @modelcontextprotocol/server-filesystem ~/Projects":
    running(/files {2}is changed/),
  "mountaineer backends edit search --set timeouts.call=120": running(/no server named "search"/, 2),
  "mountaineer backends edit search --unset env.DEBUG": running(/no server named "search"/, 2),
  "mountaineer backends remove files": running(/files {2}is removed/),
  "mountaineer backends add tickets --url https://tickets.example/mcp --header 'Authorization: Bearer ${TICKETS_TOKEN}'":
    running(/tickets {2}is added[\s\S]*TICKETS_TOKEN/, 1),
  "mountaineer backends add github --env GITHUB_TOKEN=secret:github -- github-mcp-server stdio": running(
    /github {2}is added[\s\S]*mountaineer secret set github/,
    1,
  ),
  "command -v mountaineer": running(/\/bin\/mountaineer\n$/),
  "claude mcp add mountaineer -- mountaineer mcp": { elsewhere: "test/mcp/restart.test.ts" },
  "npx @modelcontextprotocol/conformance@0.1.16 server --url http://127.0.0.1:9000/mcp --suite all": {
    elsewhere: "test/mcp/conformance.test.ts",
  },

  "mountaineer shares discover": { elsewhere: "test/lab/discover.test.ts" },
  "mountaineer shares list": running(/CORE {3}mounted/),
  "mountaineer shares list --json | jq -r '.shares[].stable_path'": {
    on: "running",
    says: /Shares\/CORE\n.*Shares\/MEDIA\n$/,
    needs: "jq",
  },
  "mountaineer shares add --share MEDIA": { elsewhere: "test/cli/sessions/place-commands.test.ts" },
  "mountaineer shares add --share ARCHIVE --tb-host 10.10.10.1 --fallback-host nas.local --username ann --password '${ARCHIVE_PASSWORD}'":
    { elsewhere: "test/cli/sessions/place-commands.test.ts" },
  "mountaineer alias add --name projects --share CORE --target-subpath Projects/2026": running(
    /projects {2}CORE\/Projects\/2026 .*Shares\/Links\/projects\n$/,
  ),
  "mountaineer alias add --name film --share CORE --target-subpath Film --alias-path ~/Desktop/film": running(
    /CORE\/Film .*Desktop\/film\n$/,
  ),
  "mountaineer alias list": running(/projects[\s\S]*film/),
  "ls ~/Shares/CORE": running(/^Projects\n$/),
  "ls ~/Shares/Links/projects": running(/^$/),
  [`mountaineer alias list --json | jq -r '.aliases[] | select(.link != "right") | .name'`]: {
    on: "running",
    says: /^$/,
    needs: "jq",
  },
  "mountaineer config set aliases.projects.target_subpath Projects": running(/aliases\.projects/),
  "mountaineer alias remove --name projects": running(/projects is removed/),
  "mountaineer logs": running(/Mounted over/),
  "mountaineer logs --since 8h": running(/Mounted over/),
  "mountaineer status --follow": { elsewhere: "test/cli/sessions/follow-status.test.ts" },
  "mountaineer logs --audit --outcome denied": { elsewhere: "test/cli/sessions/elsewhere.test.ts" },
  "mountaineer logs -f --share CORE": { elsewhere: "test/cli/sessions/logs-command.test.ts" },
  [`mountaineer logs --lines 10000 --json | jq -r 'select(.level == "error") | .message'`]: {
    on: "running",
    says: /^/,
    needs: "jq",
  },
  "mountaineer shares remove --share MEDIA": running(/MEDIA is removed/),
  "mountaineer mount --share CORE --new-server": { elsewhere: "test/lab/identity.test.ts" },
  "mountaineer shares swap --nas nas": { elsewhere: "test/cli/edits/config-commands.test.ts" },

  "mountaineer tui": running(NEEDS_TERMINAL, 2),
  "mountaineer tui --screen sync": running(NEEDS_TERMINAL, 2),
  "NO_COLOR=1 mountaineer tui": running(NEEDS_TERMINAL, 2),
  "mountaineer open": { elsewhere: "test/cli/program/management-commands.test.ts" },
  "mountaineer open --admin": { elsewhere: "test/cli/program/management-commands.test.ts" },
  "mountaineer admin K7QM-2RWX": running(/no open page shows this code/, 1),
  "mountaineer open --print": { elsewhere: "test/cli/program/management-commands.test.ts" },
  "mountaineer server-token > token.txt": { elsewhere: "test/cli/program/management-commands.test.ts" },
  "mountaineer server-token --remove": { elsewhere: "test/cli/program/management-commands.test.ts" },
  "mountaineer menubar --install-swiftbar": { elsewhere: "test/menubar/menubar-command.test.ts" },

  "mountaineer config get shares.CORE.thunderbolt_host": alone(/^"?127\.0\.0\.2"?\n$/),
  "mountaineer config set shares.CORE.fallback_host 192.168.1.30": alone(/fallback_host/),
  "mountaineer config set shares.CORE.on_route_change remount": alone(/on_route_change/),
  "mountaineer config set 'shares.\"my.share\".username' ann": alone(/username/),
  "mountaineer config unset shares.CORE.fallback_interface": alone(/fallback_interface/),
  "mountaineer config set backends.files.timeouts.call 120": alone(/call/),
  [`mountaineer config set backends.files.env.API_TOKEN '${"$"}{FILES_TOKEN}'`]: alone(/API_TOKEN/),
  [`mountaineer config set incoming_auth.users.ann.roles '["developer"]'`]: alone(/roles/),
  "find ~/Shares -type l -delete": alone(/^$/),
  "secret-tool clear application mountaineer home ~/.mountaineer": {
    elsewhere: "test/secrets/keyring.test.ts",
  },
  "rm -r --one-file-system ~/.mountaineer": alone(/^$/),
};

/** The lines of a document's `sh` blocks, comments left out. */
function commandLines(document: string): string[] {
  const lines: string[] = [];
  let isShell = false;
  for (const line of document.split("\n")) {
    if (line.startsWith("```")) isShell = /^```(sh|bash|shell|console)\b/.test(line);
    else if (isShell && line.trim() !== "" && !line.trimStart().startsWith("#")) lines.push(line.trim());
  }
  return lines;
}

async function documents(): Promise<string[]> {
  const files = [join(ROOT, "README.md")];
  for await (const file of glob(join(ROOT, "docs/**/*.md"))) files.push(file);
  return files.sort();
}

test("each command line in the README, in docs/ and in the commands' examples is listed here, and no other", async () => {
  const examples = COMMANDS.flatMap((command) => Object.keys(command.examples));
  const shown = new Map(examples.map((command) => [command, "docs/reference/cli.md"]));
  for (const file of await documents()) {
    for (const line of commandLines(await readFile(file, "utf8"))) shown.set(line, relative(ROOT, file));
  }
  const unknown = [...shown].filter(([line]) => !Object.hasOwn(EXPECTED, line));
  assert.deepEqual(unknown, [], "tell what is expected of them");
  const gone = Object.keys(EXPECTED).filter((line) => !shown.has(line));
  assert.deepEqual(gone, [], "no document shows them any more");
});

test("every promise proved in another test is proved there", async () => {
  for (const expectation of Object.values(EXPECTED)) {
    if ("elsewhere" in expectation) await access(join(ROOT, expectation.elsewhere));
  }
});

test("the blocks' lines are found, comments and other blocks left out", () => {
  const document = "```sh\n# why\none\n\ntwo # not\n```\n```toml\nthree\n```\n```console\nfour\n```\n";
  assert.deepEqual(commandLines(document), ["one", "two # not", "four"]);
});

/** As a shell runs it, in `folder`, with the launcher on PATH. */
function shell(line: string, folder: string, environment: NodeJS.ProcessEnv) {
  const child = spawn("sh", ["-c", line], {
    cwd: folder,
    env: environment,
    stdio: ["ignore", "pipe", "pipe"],
    timeout: COMMAND_DEADLINE_MS,
    killSignal: "SIGKILL",
  });
  return collect(child).ended;
}

/** The words of a line that needs neither a shell nor the folder that it is typed in; null: it needs one of them. */
function plainWords(line: string): readonly string[] | null {
  const bare = line.replaceAll(/'[^']*'/g, "quoted");
  if (!/^mountaineer( [\w.:=-]+)*$/.test(bare) || /\.(md|pem|toml|ts)\b/.test(bare)) return null;
  const [, ...words] = splitArgs(line);
  return needsProcess(words) ? null : words;
}

async function environmentOf(folder: string, home: string): Promise<NodeJS.ProcessEnv> {
  const { MOUNTAINEER_LOG: _log, ...inherited } = process.env;
  const PATH = [join(ROOT, "bin"), process.env["PATH"]].join(":");
  return { ...inherited, PATH, HOME: folder, MOUNTAINEER_HOME: home };
}

async function localConfig(folder: string): Promise<string> {
  const lines = ["[global]", `shares_root = "${join(folder, "Shares")}"`, "check_interval_secs = 0.3"];
  // No share is ready to go back while a slow machine is between two commands.
  lines.push("auto_failback_stable_secs = 86400");
  lines.push("[sync]", 'detection = "hash"', "poll_interval = 0.2", "debounce = 0.1");
  for (const share of ["CORE", "MEDIA"]) {
    const routes = ["tb", "fallback"].map((route) => join(folder, `${share}-${route}`));
    for (const route of routes) await mkdir(join(route, "Projects", "2026"), { recursive: true });
    lines.push("[[shares]]", `name = "${share}"`);
    lines.push(`thunderbolt_path = "${routes[0]}"`, `fallback_path = "${routes[1]}"`);
  }
  lines.push("[scripts]", "enabled = true");
  lines.push("[server]", `port = ${await freePort()}`);
  lines.push("[backends.files]", `command = "${process.execPath}"`, `args = ["${TOOLS_SERVER}"]`);
  return `${lines.join("\n")}\n`;
}

const ALONE_CONFIG = `[[shares]]
name = "CORE"
thunderbolt_host = "127.0.0.2"
fallback_host = "127.0.0.3"
fallback_interface = "lo"

[[shares]]
name = "my.share"
thunderbolt_host = "127.0.0.4"
fallback_host = "127.0.0.5"
password = "\${MY_PASSWORD}"

[backends.files]
command = "files-server"

[incoming_auth]
type = "local"

[[incoming_auth.users]]
name = "ann"
token = "\${ANN_TOKEN}"
`;

async function untilMounted(home: TestHome): Promise<void> {
  for (const share of ["CORE", "MEDIA"]) {
    await home.untilShare(share, ({ mount_alive }) => mount_alive, 20_000);
  }
}

test("each of them works as described, in a home with a daemon, in one without, or as the daemon", async (t) => {
  const ends: Monitor[] = [];
  // Registered before the folder's removal, so that it runs before it.
  t.after(async () => {
    for (const monitor of ends) await monitor[Symbol.asyncDispose]();
  });
  const folder = await temporaryFolder(t);
  // Of somebody who uses the usual home, for the page that removes it.
  await mkdir(join(folder, ".mountaineer"));
  await writeFile(join(folder, "query.json"), '{"words": "everything"}');
  await writeFile(join(folder, "report.ts"), `return await tools["get-sum"]({ a: 1, b: 2 } as const);\n`);
  await writeFile(join(folder, "token.txt"), "a word\n");
  await writeFile(join(folder, "draft.toml"), "[global]\nauto_failbak = true\n");
  const HOME = { HOME: folder };
  const config = await localConfig(folder);
  const withDaemon = await createTestHome({ home: join(folder, "running"), config, env: HOME });
  const without = await createTestHome({ home: join(folder, "alone"), config: ALONE_CONFIG, env: HOME });
  ends.push(await withDaemon.startMonitor());
  await untilMounted(withDaemon);
  const environments = {
    running: await environmentOf(folder, withDaemon.home),
    alone: await environmentOf(folder, without.home),
  };

  for (const [line, expectation] of Object.entries(EXPECTED)) {
    if ("elsewhere" in expectation) continue;
    await t.test(line, async (each) => {
      if (expectation.on === "own") {
        const own = await createTestHome({ home: join(folder, `own-${ends.length}`), config: "", env: HOME });
        const monitor = await own.startMonitor(expectation.args);
        ends.push(monitor);
        assert.notEqual(await own.glance(), null);
        assert.equal((await monitor.stop()).code, 0);
        return;
      }
      const missing = await programMissing(...(expectation.needs?.split(" ") ?? []));
      if (missing !== null) return each.skip(missing);
      const env = environments[expectation.on];
      const words = plainWords(line);
      const { code, stdout, stderr } = await (words === null
        ? shell(line, folder, env)
        : runInProcess(words, { env, deadlineMs: COMMAND_DEADLINE_MS }));
      const told = `${line} ended with ${code}\nstdout: ${stdout}\nstderr: ${stderr}`;
      assert.equal(code, expectation.code ?? 0, told);
      assert.match(code === 0 ? stdout : `${stdout}${stderr}`, expectation.says, told);
    });
  }
  const sync = await eventually(async () => withDaemon.glance());
  assert.deepEqual(
    sync.global.conditions.filter(({ code }) => code.startsWith("config_")),
    [],
    "and the daemon is as well as before",
  );
});
