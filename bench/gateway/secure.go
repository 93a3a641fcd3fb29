package gateway

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"
	"time"

	"github.com/lxzan/gws"
)

// overTLS begins the address of a server that speaks TLS.
const overTLS = "tls:"

// identity is a certificate that nobody should trust.
func identity() (*tls.Config, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	leaf := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: []string{"bench"}, NotAfter: time.Now().Add(24 * time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, leaf, leaf, &key.PublicKey, key)
	if err != nil {
		return nil, err
	}
	return &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}, nil
}

// secureListener is for servers that speak TLS; it says where.
func secureListener() (*net.TCPListener, *tls.Config, error) {
	cfg, err := identity()
	if err != nil {
		return nil, nil, err
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, nil, err
	}
	fmt.Println(overTLS + ln.Addr().String())
	return ln.(*net.TCPListener), cfg, nil
}

// collectWhenTold gives memory back to the system at every SIGUSR1.
func collectWhenTold() {
	told := make(chan os.Signal, 1)
	signal.Notify(told, syscall.SIGUSR1)
	go func() { // as long as the process
		for range told {
			debug.FreeOSMemory()
		}
	}()
}

// ServeGWSOverTLS is ServeGWS over TLS.
func ServeGWSOverTLS() error {
	collectWhenTold()
	ln, cfg, err := secureListener()
	if err != nil {
		return err
	}
	up := gws.NewUpgrader(&room{}, nil)
	return http.Serve(tls.NewListener(ln, cfg), http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if c, err := up.Upgrade(w, r); err == nil {
			go c.ReadLoop() // ends with the connection
		}
	}))
}
