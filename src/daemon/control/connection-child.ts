// The child process that reads and writes clients' files for the daemon: one job on stdin, its answer on stdout.

import { createHmac } from "node:crypto";
import { dirname } from "node:path";
import { text } from "node:stream/consumers";
import { errorBody } from "../../api/operations/http-errors.ts";
import type { Connection, KnownClients } from "../../api/setup/client-connection.ts";
import { CLIENT_NAMES, CLIENTS } from "../../clients/client.ts";
import { ownProgram } from "../../clients/client-entry.ts";
import {
  type ConnectionPlan,
  type ConnectionSurroundings,
  clientFilePath,
  isConnected,
  planConnection,
  planDiff,
  planUndo,
  writePlan,
} from "../../clients/connection-plan.ts";
import { readRecord } from "../../clients/connection-record.ts";
import { draftImport, type ImportDraft, importSummary } from "../../clients/import-draft.ts";
import type { FoundFile } from "../../clients/import-plan.ts";
import { pastedFile } from "../../clients/pasted-servers.ts";
import { readFoundFiles } from "../../clients/read-files.ts";
import { diffText } from "../../config/history/text-diff.ts";
import { findHomeContext, locateConfig } from "../../config/home-context.ts";
import { decodedText, readConfigIfPresent } from "../../config/read/config-bytes.ts";
import { textValues } from "../../config/read/file-values.ts";
import { errorText, MountaineerError, systemErrorCode } from "../../runtime/errors.ts";
import { entryExists } from "../../runtime/files/durable-file.ts";
import { sha256Of } from "../../runtime/files/sha256.ts";
import { objectOf } from "../../runtime/text/json-object.ts";
import { parseJson } from "../../runtime/text/parse-json.ts";
import { shellWord } from "../../runtime/text/plain-text.ts";
import type { ConnectionJob, PlannedImport } from "./client-connections.ts";

const CONNECTED = CLIENT_NAMES.map((name) => CLIENTS[name]).filter((client) => client.isConnected);

/** `folder` is "/", because only a command in a terminal has a meaningful working directory. */
function surroundingsOf(home: string): ConnectionSurroundings {
  const environment = process.env;
  return { home, file: null, userHome: findHomeContext(environment).userHome, environment, folder: "/" };
}

async function known({ home }: ConnectionJob): Promise<KnownClients> {
  const clients: KnownClients["clients"] = [];
  for (const client of CONNECTED) {
    const { name, title } = client;
    const file = (await readRecord(home, name).catch(() => null))?.path ?? null;
    const surroundings = { ...surroundingsOf(home), file };
    const path = await clientFilePath(client, file, surroundings);
    // A client is installed if the folder of its file exists. A file directly in the user's home must exist itself.
    const folder = dirname(path) === surroundings.userHome ? path : dirname(path);
    // A folder that cannot be read is listed with its problem. If there is a file instead of the folder, the
    // client is not listed.
    if (!(await entryExists(folder).catch((error) => systemErrorCode(error) !== "ENOTDIR"))) continue;
    try {
      clients.push({ name, title, path, connected: await isConnected(client, surroundings), problem: null });
    } catch (error) {
      clients.push({ name, title, path, connected: null, problem: errorText(error) });
    }
  }
  return { clients };
}

async function configOf({ home, configPath }: Pick<ConnectionJob, "home" | "configPath">) {
  const homeContext = { ...findHomeContext(process.env), home };
  const { path, format } = await locateConfig(homeContext, configPath);
  const bytes = await readConfigIfPresent(path);
  return { path, format, homeContext, before: decodedText(bytes), isNew: bytes === null };
}

async function connect(
  { home, configPath, launcher }: ConnectionJob,
  { client: name, undo, agreed, serving }: NonNullable<ConnectionJob["connect"]>,
): Promise<Connection> {
  const client = CONNECTED.find((one) => one.name === name);
  if (client === undefined)
    throw new MountaineerError("usage", `no client is known as ${JSON.stringify(name)}`);
  const surroundings = surroundingsOf(home);
  const { environment } = surroundings;
  const backends = {
    async config() {
      const { before, isNew, format } = await configOf({ home, configPath });
      return isNew ? {} : textValues(before, format);
    },
    serving: async () => serving,
  };
  const plan = undo
    ? await planUndo(client, surroundings)
    : await planConnection(
        client,
        ownProgram({ launcher, home, configPath, environment }),
        backends,
        surroundings,
      );
  const digest = digestOf(plan);
  const written = digest === agreed;
  if (agreed !== null && !written)
    throw new MountaineerError(
      "config_changed",
      `the planned change to ${plan.path} differs from the one that was shown`,
      {
        hint: "check the change again; nothing was written",
      },
    );
  if (written) await writePlan(home, plan);
  const { title, afterwards } = client;
  const { path, notes } = plan;
  const next = undo ? null : afterwards;
  return { title, path, diff: await planDiff(plan), digest, notes: [...notes], written, next };
}

function digestOf({ path, text: before, after }: ConnectionPlan): string {
  return sha256Of(Buffer.from(JSON.stringify([path, before, after])));
}

async function planImport(
  { home, configPath }: ConnectionJob,
  { client, text: pasted, taken, digestKey }: NonNullable<ConnectionJob["import"]>,
): Promise<PlannedImport> {
  const surroundings = surroundingsOf(home);
  const names = new Set(taken);
  const source = CLIENT_NAMES.find((name) => name === client);
  let files: readonly FoundFile[];
  if (pasted !== null) files = [await pastedFile(pasted, surroundings, names)];
  else if (source === undefined)
    throw new MountaineerError("usage", `no client is known as ${JSON.stringify(client)}`);
  else {
    const found = await readFoundFiles([source], surroundings, names);
    files = found.filter(({ isOfFolder }) => !isOfFolder);
    if (files.length === 0)
      throw new MountaineerError("client_unreadable", `${CLIENTS[source].title} has no file here`);
  }
  const target = { ...(await configOf({ home, configPath })), opening: () => "" };
  return plannedOf(await draftImport(target, files), digestKey);
}

function plannedOf(draft: ImportDraft, digestKey: string): PlannedImport {
  const { path, files, added, present, unsure, refused, hasToken, before, after, baseSha256 } = draft;
  const diff = diffText(before, after, { before: path, after: `${path} with what is imported` });
  const values = added.flatMap(({ secrets }) => [...secrets]);
  const covered = JSON.stringify([baseSha256, after, values]);
  return {
    after,
    base_sha256: baseSha256,
    values,
    shown: {
      servers: added.map(({ name, title, table, problem, wanted, secrets, remarks, unusedSettings }) => ({
        ...{ name, from: title, enabled: table["enabled"] !== false, problem },
        runs: runsOf(table),
        texts: Object.entries({ ...objectOf(table["env"]), ...objectOf(table["headers"]) }).map(
          ([key, value]) => `${key} = ${value}`,
        ),
        ...{ secrets: [...secrets.keys()], wanted: [...wanted] },
        remarks: [...remarks, ...unusedSettings.map((line) => `not used here: ${line}`)],
      })),
      ...{ refused, present: [...present], unsure: [...unsure] },
      of_projects: files.flatMap(({ elsewhere }) =>
        elsewhere.map(({ folder, servers }) => ({ folder, servers: [...servers] })),
      ),
      ...{ summary: importSummary(draft), diff, makes_token: hasToken },
      digest: createHmac("sha256", digestKey).update(covered).digest("hex"),
    },
  };
}

function runsOf({ url, command, args }: Readonly<Record<string, unknown>>): string {
  const line = [command, ...(Array.isArray(args) ? args : [])].map(String);
  return url === undefined ? line.map(shellWord).join(" ") : String(url);
}

async function answer(): Promise<object> {
  // The type is right, because only client-connections.ts starts this program.
  const job = parseJson(await text(process.stdin)) as ConnectionJob;
  try {
    if (job.import !== null) return await planImport(job, job.import);
    return await (job.connect === null ? known(job) : connect(job, job.connect));
  } catch (error) {
    return errorBody(error);
  }
}

process.stdout.write(JSON.stringify(await answer()));
