/** The entry points of the library, and the members of the classes and interfaces that they export. */

/** An entry point: its file below `packages/polloi/src`, and for each type its members in alphabetical order. */
export interface Expected {
  readonly file: string;
  readonly types: Readonly<Record<string, string>>;
}

export const MEMBERS: Readonly<Record<string, Expected>> = {
  polloi: {
    file: "index.ts",
    types: {
      ConnectOptions:
        "close connectTimeoutMs data drain end error highWaterBytes host hostname idleTimeoutMs localAddress maxPendingBytes noDelay open path port proxyProtocol signal stopping timeout tls zeroCopy",
      Connection:
        "[Symbol.asyncIterator] [Symbol.dispose] close data destroy end fileno handOver localAddress opened pause paused peerState pendingBytes proxyHeader readable ref remoteAddress reset resume sendFile setIdleTimeout state tcpInfo tls unacknowledgedBytes unreadBytes unref writable write",
      ConnectionOptions: "highWaterBytes idleTimeoutMs maxPendingBytes noDelay zeroCopy",
      DuplexOptions: "allowHalfOpen highWaterMark",
      DatagramHandlers: "close drain error message",
      DatagramOptions:
        "address broadcast close drain dualStack error family highWaterBytes host hostname maxPendingBytes message multicastInterface multicastLoopback multicastTtl path port receiveBufferSize remote reuseAddr reusePort sendBufferSize zeroCopy",
      DatagramSocket:
        "[Symbol.dispose] address close dropped fileno joinGroup leaveGroup pause pendingBytes port ref remoteAddress resume send unref",
      EngineReport: "name reason works",
      Handlers: "close data drain end error open stopping timeout",
      ListenOptions:
        "acceptError address backlog close data drain dualStack end error exclusive family fd highWaterBytes host hostname idleTimeoutMs maxConnections maxPendingBytes noDelay open path port proxyProtocol reuseAddr reusePort signal stopping timeout tls zeroCopy",
      Listener:
        "[Symbol.dispose] address close connections fileno port proxyFailures ref setTls stop unref",
      OutgoingFile: "done fd length offset",
      ProxyHeader: "command destination overTls source tlvs version",
      ProxyProtocolOptions: "refused timeoutMs trusted",
      ProxyRefusal: "code reason remoteAddress",
      ProxyTlv: "type value",
      Reactor:
        "[Symbol.dispose] adopt alive bindDatagrams close connect engine fileno listen run setTimer stop trigger turn watch",
      ReactorChoice: "engine trigger",
      ReactorConstructor: "",
      ReactorOptions: "engine trigger",
      SocketMembers:
        "address bufferSize bytesRead bytesWritten connecting destroySoon localAddress localFamily localPort pending readyState ref remoteAddress remoteFamily remotePort resetAndDestroy setKeepAlive setNoDelay setTimeout timeout unref",
      SysError: "address cause code errno fd hint message name port stack syscall",
      Timer: "active cancel ref refresh unref",
      TlsClientOptions:
        "ALPNProtocols ca cert ciphers handshakeTimeoutMs key keylog maxVersion minVersion passphrase rejectUnauthorized servername session",
      TlsError: "cause code hint message name stack",
      TlsInfo:
        "alpnProtocol authorizationError authorized cipher peerCertificate protocol resumed servername session",
      TlsOptions:
        "ALPNProtocols ca cert ciphers handshakeTimeoutMs key keylog maxVersion minVersion passphrase rejectUnauthorized",
      TlsServerOptions:
        "ALPNProtocols ca cert ciphers contexts handshakeError handshakeTimeoutMs key keylog maxHandshakes maxVersion minVersion passphrase rejectUnauthorized requestCert ticketKeys",
      Watch: "[Symbol.dispose] close fileno modify ref unref",
    },
  },
  "polloi/http": {
    file: "http/index.ts",
    types: {
      AccessEntry: "bytes durationMs method remoteAddress request status target version",
      AccessLog: "close lost reopen write",
      AccessLogOptions: "format to",
      AccessSink: "write",
      BodyReader: "abort data end",
      FetchInfo: "fileno localAddress proxyHeader remoteAddress tcpInfo tls upgrade",
      FilesContext: "req",
      FilesHandler: "[Symbol.dispose] close fileno",
      FilesOptions: "dir dotfiles listing maxAgeMs precompressed prefix",
      HttpCounts: "connections refused requests",
      HttpOptions:
        "acceptError backlog bodyTimeoutMs dualStack engine error fd fetch halfCloseTimeoutMs handler headTimeoutMs host hostname idleTimeoutMs listen log maxBodyBytes maxChunkExtensionBytes maxConnections maxHeadBytes maxHeaders maxRequests maxTargetBytes maxTrailerBytes overrideGlobals path port proxyProtocol reactor reusePort sendTimeoutMs signal tls trustProxy worker",
      HttpReply:
        "begin begun bodyBytes done end header send sendFile status statusCode stream trailer whenDrained write writeFile",
      HttpRequest:
        "bytes contentLength fileno hasLeft header headers host localAddress method path pause paused proxyHeader query read remoteAddress resume scheme target tcpInfo text tls trailers upgrade version wantedUpgrade whenLeft",
      HttpServer:
        "[Symbol.asyncDispose] address adopt close connections counts fetch port ref setTls stop unref url",
      HttpTimeouts: "bodyTimeoutMs halfCloseTimeoutMs headTimeoutMs idleTimeoutMs sendTimeoutMs",
      HttpWorker: "listen reactor",
      ParserLimits:
        "maxBodyBytes maxChunkExtensionBytes maxHeadBytes maxHeaders maxTargetBytes maxTrailerBytes",
      RequestError: "cause code message name stack status",
      TrustProxyOptions: "headers trusted",
    },
  },
  "polloi/select": {
    file: "select/index.ts",
    types: {
      Epoll: "[Symbol.dispose] close closed fileno modify poll register unregister",
      EpollOptions: "fd",
      HasFileno: "fileno",
      Poll: "modify poll register unregister",
      SignalFd: "[Symbol.dispose] close closed fileno read",
      SignalFdOptions: "",
      SysError: "address cause code errno fd hint message name port stack syscall",
    },
  },
  "polloi/selectors": {
    file: "selectors/index.ts",
    types: {
      DefaultSelector:
        "[Symbol.dispose] capabilities close closed fileno getKey getMap modify name passedOver register select unregister wait",
      EpollSelector:
        "[Symbol.dispose] capabilities close closed fileno getKey getMap modify name register select unregister wait",
      HasFileno: "fileno",
      PassedOver: "name reason",
      PollSelector:
        "[Symbol.dispose] capabilities close closed fileno getKey getMap modify name register select unregister wait",
      PollerCapabilities: "edge exclusive hangup maxFd oneShot peerClosed regularFiles",
      SelectSelector:
        "[Symbol.dispose] capabilities close closed fileno getKey getMap modify name register select unregister wait",
      Selector:
        "[Symbol.dispose] capabilities close closed fileno getKey getMap modify name register select unregister wait",
      SelectorBatch: "[Symbol.iterator] capacity count eventsAt keyAt",
      SelectorKey: "data events fd fileObject",
      SelectorMap: "[Symbol.iterator] entries get has keys size values",
      SelectorOptions: "",
      SysError: "address cause code errno fd hint message name port stack syscall",
      Waker: "[Symbol.dispose] close drain fileno wake",
      WakerOptions: "fd",
      WatchOptions: "exclusive oneShot trigger",
    },
  },
  "polloi/socket": {
    file: "socket/index.ts",
    types: {
      Accepted: "address socket",
      CreateConnectionOptions: "family host localAddress path port timeoutMs",
      CreateServerOptions:
        "address backlog dualStack family host hostname nonBlocking path port reuseAddr reusePort type",
      Credentials: "gid pid uid",
      CredentialsMessage: "credentials",
      InetAddress: "address family flowInfo path port scopeId",
      ListenOptions:
        "address backlog dualStack family host hostname nonBlocking path port reuseAddr reusePort type",
      RawAncillaryMessage: "data level type",
      ReceivedFds: "address bytes fds flags truncated",
      ReceivedFrom: "address bytes",
      ReceivedInto: "address length",
      ReceivedMessage: "address ancillary bytes flags",
      ResolveError: "cause code hint hostname message name stack syscall",
      ResolveOptions: "family port",
      RightsMessage: "fds",
      Socket:
        "[Symbol.dispose] accept atMark bind close closed connect connectEx detach dup family fileno getBlocking getTimeout getsockopt isInheritable listen localAddress options protocol recv recvFrom recvFromInto recvInto recvMsg remoteAddress send sendAll sendMsg sendTo setBlocking setInheritable setTimeout setsockopt shutdown type",
      SocketInit: "fd",
      SocketOptions:
        "broadcast congestion cork deferAcceptSeconds error fastOpen fastOpenConnect incomingCpu ipv6Only keepAlive keepCount keepIdleSeconds keepIntervalSeconds lingerSeconds listening maxSegment noDelay notSentLowAt oobInline passCredentials peerCredentials priority quickAck receiveBufferSize receiveLowAt reuseAddr reusePort sendBufferSize tcpInfo ttl typeOfService userTimeoutMs",
      SysError: "address cause code errno fd hint message name port stack syscall",
      TcpInfo:
        "advMss atoUs backoff busyTimeUs bytesAcked bytesReceived bytesRetrans bytesSent caState dataSegsIn dataSegsOut delivered deliveredCe deliveryRate deliveryRateAppLimited dsackDups fackets fastOpenClientFail lastAckRecvMs lastAckSentMs lastDataRecvMs lastDataSentMs lost maxPacingRate minRttUs notSentBytes options pacingRate pmtu probes rcvMss rcvOoopack rcvRttUs rcvSpace rcvSsthresh rcvWnd rcvWscale rehash reordSeen reordering retrans retransmits rtoUs rttUs rttVarUs rwndLimitedUs sacked segsIn segsOut sndCwnd sndMss sndSsthresh sndWnd sndWscale sndbufLimitedUs state totalRetrans unacked",
      UnixAddress: "address family path port",
    },
  },
  "polloi/uring": {
    file: "uring/index.ts",
    types: {
      BufferRing: "bufferBytes count group take",
      BufferRingOptions: "bufferBytes count group",
      Completion: "check flags hasBuffer more result tag",
      FileOptions: "async link position quiet tag",
      HasFileno: "fileno",
      Mapped: "address bytes part",
      Received: "[Symbol.dispose] address bytes release",
      Ring: "[Symbol.dispose] accept addBuffers cancel close closeFd connect fileno fsync linkTimeout map nop open pending poll read recv recvBuffers removePoll removeTimeout send shutdown submit timeout wait write",
      RingOptions: "completionEntries entries",
      SubmitOptions: "async link quiet tag",
      SysError: "address cause code errno fd hint message name port stack syscall",
    },
  },
  "polloi/workers": {
    file: "pool/workers.ts",
    types: {
      LivenessOptions: "startTimeoutMs unresponsiveAfterMs whenUnresponsive",
      PoolWorker: "count data index listen post reactor",
      Stoppable: "stop",
      UnresponsiveWorker: "index silentMs",
      WorkerExit: "error index restartInMs stuck",
      WorkerModule:
        "acceptError close data drain end error highWaterBytes idleTimeoutMs maxConnections maxPendingBytes noDelay open proxyProtocol start stopping timeout tls zeroCopy",
      WorkerPool: "[Symbol.asyncDispose] address balance engine finished port stop trigger workers",
      WorkerStatus: "accepted connections exits index state",
      WorkersOptions:
        "crashLoop data engine exited listen message module recovered startTimeoutMs trigger unresponsive unresponsiveAfterMs whenUnresponsive workers",
    },
  },
  "polloi/models": {
    file: "pool/models.ts",
    types: {
      ChildExit: "error id kind peer restartInMs",
      LivenessOptions: "startTimeoutMs unresponsiveAfterMs whenUnresponsive",
      ModelChild: "connections id kind ready responsive",
      ModelConnection: "close data remoteAddress write",
      ModelCounts: "bytes children connections exits messages open refusals started",
      ModelHandlers: "close data end open",
      ModelLoop: "data listen post reactor",
      ModelModule: "close data end open start startOn",
      ModelObserver: "closed opened received",
      ModelOptions:
        "acceptError atLimit children crashLoop data engine execArgv exited idleTimeoutMs limitReached listen maxChildren message model module noDelay reactor recovered sharing startTimeoutMs tls trigger unresponsive unresponsiveAfterMs whenUnresponsive",
      ModelServer:
        "[Symbol.asyncDispose] address children counts engine finished model pids port stop",
      Stoppable: "stop",
      UnresponsiveChild: "id kind silentMs",
    },
  },
};
