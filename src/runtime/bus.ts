// Calls listeners with events: synchronously, in the order of subscription. A listener's failure does not affect the others.

export interface Bus<Event> {
  publish(event: Event): void;
  /** Returns a function that unregisters `listener`, which is no longer called after that. */
  subscribe(listener: (event: Event) => void): () => void;
}

interface BusOptions {
  onListenerError: (error: unknown) => void;
}

export function createBus<Event>({ onListenerError }: BusOptions): Bus<Event> {
  const listeners = new Set<(event: Event) => void>();
  return {
    publish(event) {
      for (const listener of [...listeners]) {
        if (!listeners.has(listener)) continue;
        try {
          listener(event);
        } catch (error) {
          onListenerError(error);
        }
      }
    },
    subscribe(listener) {
      // A new function for each subscription, so that a listener that subscribes twice is called twice.
      const own = (event: Event): void => listener(event);
      listeners.add(own);
      return () => listeners.delete(own);
    },
  };
}
