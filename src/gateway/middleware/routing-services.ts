// What routing needs of the rest of the gateway.
import type { PoolCall, SharedCall, WatchedTask } from "../backends/policy/backend-pool-contract.ts";
import type { Catalog } from "../catalog/catalog.ts";
import type { ClientPort } from "../client-port.ts";
import type { JsonObject, Reply } from "../json-rpc.ts";
import type { McpLogLevel } from "../protocol.ts";
import type { TaskIds, TaskMemory } from "./task-ids.ts";

export interface RoutingServices {
  readonly pool: {
    call(backend: string, call: PoolCall): Promise<Reply>;
    subscribe(backend: string, uri: string, client: ClientPort): Promise<Reply>;
    unsubscribe(backend: string, uri: string, client: ClientPort): Promise<Reply>;
    /** Tells the client of it, by TASK_NOTICE, until it is forgotten. */
    watchTask(task: WatchedTask, client: ClientPort): Promise<Reply>;
  };
  /** Absent: no tool is shared. */
  readonly together?: {
    /** Never rejects. */
    call(call: SharedCall): Promise<Reply>;
    /** Params of a call of a tool with these places, with paths as this machine names them. */
    namedHere(places: readonly string[], params: JsonObject | undefined): JsonObject | undefined;
  };
  /** Each backend that is wanted has listed what it has: lists are not about to grow. */
  hasAllLists(): boolean;
  /** What is published now, whatever a request began with. */
  catalog(): Catalog;
  /** Clients have the names in it from now on; absent: names are not remembered. */
  inUse?(catalog: Catalog): void;
  setLogLevel(client: ClientPort, level: McpLogLevel): void;
  readonly tasks: TaskMemory;
  /** Of 2026-07-28. */
  readonly taskIds: TaskIds;
  /** Results that were too large to send. */
  readonly kept: { read(of: { readonly client: ClientPort; readonly uri: string }): Reply };
  /** Whether the backend's server declares that it lists what is in a folder. */
  readsDirectories(backend: string): boolean;
  /** Backends whose servers declare `tasks.list`, in order. */
  taskBackends(): readonly string[];
}
