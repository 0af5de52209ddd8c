// Requests about tasks (experimental in 2025-11-25): each goes to the backend that runs its task.
import {
  errorReply,
  INVALID_PARAMS,
  isError,
  isJsonObject,
  type JsonObject,
  type Reply,
} from "../json-rpc.ts";
import type { GatewayRequest, Handle } from "./middleware.ts";
import { unknownMethod, unknownTask } from "./request-target.ts";
import type { RoutingServices } from "./routing-services.ts";
import type { TaskOrigin } from "./task-ids.ts";

/** Maximum number of pages that are read of one backend's list of tasks. */
const MAX_PAGES = 100;

/** tasks/get, tasks/result, tasks/cancel. */
export function createTaskRouting({ pool, tasks }: RoutingServices): Handle {
  return async ({ method, params, handle, signal }) => {
    const taskId = params?.["taskId"];
    if (typeof taskId !== "string") return errorReply(INVALID_PARAMS, `${method} needs a string \`taskId\``);
    const origin = tasks.originOf(handle.client, taskId);
    return origin === null
      ? unknownTask(params)
      : pool.call(origin.backend, { method, params, handle, signal });
  };
}

/** If a reply to tools/call names a task, remembers which backend runs the task. */
export async function rememberingTask(
  { tasks }: RoutingServices,
  { handle }: GatewayRequest,
  origin: TaskOrigin,
  answer: Promise<Reply>,
): Promise<Reply> {
  const reply = await answer;
  const task = isError(reply) ? undefined : reply.result["task"];
  if (isJsonObject(task) && typeof task["taskId"] === "string") {
    tasks.remember(handle.client, task["taskId"], origin);
  }
  return reply;
}

/**
 * Lists the tasks that this session began, from all backends that can list tasks. Other sessions' tasks,
 * which a shared server also lists, are left out. Fails only if every backend fails.
 */
export function createTaskListing({ pool, tasks, taskBackends }: RoutingServices): Handle {
  return async (request) => {
    const { method, params, handle, served } = request;
    const backends = taskBackends().filter(served.viewFor(handle.client.principal).sees);
    if (backends.length === 0) return unknownMethod(method);
    if (params?.["cursor"] !== undefined) return errorReply(INVALID_PARAMS, "Invalid cursor");
    const answers = await Promise.all(backends.map((backend) => allTasks(pool, backend, request)));
    const failures = answers.flatMap((answer) => (Array.isArray(answer) ? [] : [answer]));
    const [failure] = failures;
    if (failure !== undefined && failures.length === answers.length) return failure;
    const isOwn = ({ taskId }: JsonObject, backend: string | undefined): boolean =>
      typeof taskId === "string" && tasks.originOf(handle.client, taskId)?.backend === backend;
    const found = answers.flatMap((answer, index) =>
      Array.isArray(answer) ? answer.filter((task) => isOwn(task, backends[index])) : [],
    );
    return { result: { tasks: found } };
  };
}

async function allTasks(
  pool: RoutingServices["pool"],
  backend: string,
  { method, params, handle, signal }: GatewayRequest,
): Promise<JsonObject[] | { readonly error: Extract<Reply, { error: unknown }>["error"] }> {
  const tasks: JsonObject[] = [];
  let cursor: unknown;
  for (let page = 0; page < MAX_PAGES; page++) {
    const pageParams = cursor === undefined ? params : { ...params, cursor };
    const reply = await pool.call(backend, { method, params: pageParams, handle, signal });
    if (isError(reply)) return reply;
    const { tasks: listed, nextCursor } = reply.result;
    if (Array.isArray(listed)) tasks.push(...listed.filter(isJsonObject));
    if (typeof nextCursor !== "string" || nextCursor === cursor) break;
    cursor = nextCursor;
  }
  return tasks;
}
