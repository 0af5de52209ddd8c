// The services that routing uses.
import type { PoolCall, WatchedTask } from "../backends/policy/backend-pool-contract.ts";
import type { Catalog, Listings } from "../catalog/catalog.ts";
import type { ClientHandle } from "../client-handle.ts";
import type { Reply } from "../json-rpc.ts";
import type { McpLogLevel } from "../protocol.ts";
import type { NamedUris } from "./named-uris.ts";
import type { TaskIds, TaskMemory } from "./task-ids.ts";

export interface RoutingServices {
  readonly pool: {
    call(backend: string, call: PoolCall): Promise<Reply>;
    subscribe(backend: string, uri: string, client: ClientHandle): Promise<Reply>;
    unsubscribe(backend: string, uri: string, client: ClientHandle): Promise<Reply>;
    /** Sends the client the task's changes by TASK_NOTICE, until the pool forgets the client. */
    watchTask(task: WatchedTask, client: ClientHandle): Promise<Reply>;
  };
  /** True if all enabled backends have listed their entries. */
  hasAllLists(): boolean;
  /** For how long clients may still keep the list, as its servers say. */
  remainingMs(list: keyof Listings): number;
  /** The current catalog, which may be newer than a request's. */
  catalog(): Catalog;
  /**
   * Called when clients have seen the catalog's names, which then stay with their owners. Absent: names are
   * not remembered. A promise: they are being saved.
   */
  inUse?(catalog: Catalog): Promise<unknown> | null;
  setLogLevel(client: ClientHandle, level: McpLogLevel): void;
  readonly named: NamedUris;
  readonly tasks: TaskMemory;
  readonly taskIds: TaskIds;
  /** Whether any change of the backend's tools waits for approval. */
  blocksChanges(backend: string): boolean;
  /** Backends whose servers declare `tasks.list`, in order. */
  taskBackends(): readonly string[];
  /** The backend that gets the methods of an extension. */
  extensionBackends(): ReadonlyMap<string, string>;
}
