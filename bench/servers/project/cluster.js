import cluster from 'node:cluster'

cluster.schedulingPolicy = cluster.SCHED_RR
cluster.setupPrimary({ exec: new URL('server.js', import.meta.url).pathname })
for (let n = 0; n < Number(process.env.WORKERS); n++) cluster.fork()
process.on('SIGTERM', () => {
  for (const worker of Object.values(cluster.workers)) worker.process.kill('SIGTERM')
  process.exit(0)
})
