# workerd with one worker and two kinds of Durable Objects on local disk. The benchmark gives the
# socket's address and the folder of the service `state` on the command line.
using Workerd = import "/workerd/workerd.capnp";

const config :Workerd.Config = (
  services = [
    (name = "bench", worker = .bench),
    (name = "state", disk = (writable = true)),
  ],
  sockets = [(name = "http", address = "127.0.0.1:0", http = (), service = "bench")],
);

const bench :Workerd.Worker = (
  modules = [(name = "worker.js", esModule = embed "worker.js")],
  compatibilityDate = "2026-11-01",
  bindings = [
    (name = "COUNTER", durableObjectNamespace = "Counter"),
    (name = "PINNED", durableObjectNamespace = "Pinned"),
  ],
  durableObjectNamespaces = [
    (className = "Counter", uniqueKey = "bench-counter", enableSql = true),
    (className = "Pinned", uniqueKey = "bench-pinned", enableSql = true, preventEviction = true),
  ],
  durableObjectStorage = (localDisk = "state"),
);
