################################################################################
#
# spmsg
#
################################################################################

SPMSG_VERSION = 0.1.0
SPMSG_SITE = https://spmsg.invalid
SPMSG_LICENSE = MIT or Apache-2.0
SPMSG_LICENSE_FILES = LICENSE-MIT LICENSE-APACHE
SPMSG_INSTALL_STAGING = YES
SPMSG_DEPENDENCIES = host-rustc

# The archive has its crates beside it, in vendor/: nothing is fetched.
SPMSG_CONF_ENV = $(PKG_CARGO_ENV)
SPMSG_MAKE_ENV = $(PKG_CARGO_ENV)
SPMSG_CONF_OPTS = \
	-DSPMSG_CARGO_TARGET=$(RUSTC_TARGET_NAME) \
	-DNN_TESTS=OFF \
	-DNN_ENABLE_DOC=OFF

ifeq ($(BR2_PACKAGE_SPMSG_TOOLS),y)
SPMSG_CONF_OPTS += -DNN_ENABLE_NANOCAT=ON
else
SPMSG_CONF_OPTS += -DNN_ENABLE_NANOCAT=OFF
endif

ifeq ($(BR2_PACKAGE_SPMSG_AS_NANOMSG),y)
SPMSG_CONF_OPTS += -DSPMSG_NAMES=IN_PLACE
else
SPMSG_CONF_OPTS += -DSPMSG_NAMES=OFF
endif

ifeq ($(BR2_PACKAGE_SPMSG_TLS),y)
SPMSG_CONF_OPTS += -DSPMSG_TLS=$(if $(BR2_STATIC_LIBS),INSIDE,ON)
else
SPMSG_CONF_OPTS += -DSPMSG_TLS=OFF
endif

ifeq ($(BR2_STATIC_LIBS),y)
SPMSG_CONF_OPTS += -DNN_STATIC_LIB=ON
else
SPMSG_CONF_OPTS += -DNN_STATIC_LIB=OFF
endif

$(eval $(cmake-package))
